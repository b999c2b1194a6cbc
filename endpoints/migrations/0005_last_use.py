from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("endpoints", "0004_who_set_a_secret")]

    operations = [
        migrations.AddField(
            "endpoint", "last_used_at", models.DateTimeField(editable=False, null=True, verbose_name="last used")
        ),
        migrations.AddField("endpoint", "last_used_by", models.CharField(blank=True, editable=False, max_length=1100)),
    ]
