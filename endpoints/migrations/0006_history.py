from __future__ import annotations

from typing import Any

import django.utils.timezone
from django.db import migrations, models

_COLUMNS = ("service", "task_type", "service_settings", "task_settings", "chunking_settings", "dimensions", "enabled")
_LIMITS = ("connect", "first_delta", "idle", "stall", "total", "write")


def begin(apps: Any, schema_editor: Any) -> None:
    """Give each endpoint that is there already its first version, so that later ones have something to differ from."""
    change = apps.get_model("endpoints", "Change")
    for endpoint in apps.get_model("endpoints", "Endpoint").objects.select_related("team").iterator():
        limits = {f"{name}_seconds": getattr(endpoint, f"{name}_seconds") for name in _LIMITS}
        change.objects.create(
            endpoint_id=endpoint.pk,
            inference_id=endpoint.inference_id,
            version=1,
            action="created",
            at=endpoint.created_at,
            changed_by="migrate",
            origin="command",
            team_id=endpoint.team_id,
            settings={
                **{name: getattr(endpoint, name) for name in _COLUMNS},
                "time_limits": {name: seconds for name, seconds in limits.items() if seconds is not None},
                "team": endpoint.team.slug if endpoint.team else None,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("endpoints", "0005_last_use")]

    operations = [
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("endpoint_id", models.UUIDField()),
                ("inference_id", models.CharField(max_length=500, verbose_name="inference id")),
                ("version", models.PositiveIntegerField(help_text="Counted for each endpoint, from 1.")),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("created", "Created"),
                            ("updated", "Updated"),
                            ("enabled", "Enabled"),
                            ("disabled", "Disabled"),
                            ("moved", "Moved"),
                            ("restored", "Restored"),
                            ("deleted", "Deleted"),
                        ],
                        max_length=10,
                    ),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="time")),
                ("changed_by", models.CharField(max_length=1024, verbose_name="changed by")),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("api_key", "API key"),
                            ("password", "API, by password"),
                            ("session", "admin"),
                            ("command", "command"),
                        ],
                        max_length=10,
                        verbose_name="from",
                    ),
                ),
                ("api_key_id", models.CharField(blank=True, max_length=20, verbose_name="API key")),
                ("api_key_name", models.CharField(blank=True, max_length=256)),
                ("address", models.CharField(blank=True, max_length=45)),
                ("team_id", models.BigIntegerField(null=True)),
                ("settings", models.JSONField(default=dict)),
                ("difference", models.JSONField(default=list)),
                ("secrets", models.JSONField(default=dict)),
                ("restored_version", models.PositiveIntegerField(null=True, verbose_name="restored version")),
            ],
            options={
                "verbose_name": "change",
                "verbose_name_plural": "history",
                "ordering": ["-at", "-id"],
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["at", "id", "endpoint_id"], name="change_at"),
                    models.Index(fields=["team_id", "action"], name="change_team_action"),
                    models.Index(fields=["endpoint_id", "at", "id"], name="change_endpoint_id"),
                    models.Index(fields=["inference_id", "at", "id"], name="change_inference_id"),
                    models.Index(fields=["changed_by", "at", "id"], name="change_changed_by"),
                    models.Index(fields=["api_key_id", "at", "id"], name="change_api_key_id"),
                    models.Index(fields=["team_id", "at", "id"], name="change_team_id"),
                    models.Index(fields=["action", "at", "id"], name="change_action"),
                    models.Index(fields=["origin", "at", "id"], name="change_origin"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("endpoint_id", "version"), name="versions_are_counted")
                ],
            },
        ),
        migrations.RunPython(begin, migrations.RunPython.noop, elidable=True),
    ]
