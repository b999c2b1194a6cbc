from __future__ import annotations

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("endpoints", "0003_teams")]

    operations = [
        # Of secrets that are there already nobody knows when they were set.
        migrations.AddField("endpointsecret", "set_at", models.DateTimeField(null=True, default=None)),
        migrations.AlterField(
            "endpointsecret",
            "set_at",
            models.DateTimeField(
                default=django.utils.timezone.now, help_text="Empty: before this was noted.", null=True
            ),
        ),
        migrations.AddField("endpointsecret", "set_by", models.CharField(blank=True, default="", max_length=1100)),
        migrations.AlterField("endpointsecret", "set_by", models.CharField(blank=True, max_length=1100)),
    ]
