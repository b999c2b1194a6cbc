from __future__ import annotations

from django.db import migrations, models

_INDEXES = {
    "change_at": ["at", "id", "endpoint_id", "action", "origin", "team_id"],
    "change_action": ["action", "at", "id", "origin", "team_id", "endpoint_id"],
    "change_origin": ["origin", "at", "id", "action", "team_id", "endpoint_id"],
    "change_team_id": ["team_id", "at", "id", "action", "origin", "endpoint_id"],
    "change_team_action": ["team_id", "action", "endpoint_id"],
}


class Migration(migrations.Migration):
    dependencies = [("endpoints", "0006_history")]

    operations = [
        operation
        for name, fields in _INDEXES.items()
        for operation in (
            migrations.RemoveIndex(model_name="change", name=name),
            migrations.AddIndex(model_name="change", index=models.Index(fields=fields, name=name)),
        )
    ]
