"""The roles `inference_user` and `inference_admin`, and the row that holds the version number."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# Frozen here: a migration says what it did, whatever the code says later.
PERMISSIONS = {
    "monitor_inference": "Can use inference endpoints",
    "manage_inference": "Can use and manage inference endpoints",
}
ROLES = {
    "inference_user": ["monitor_inference"],
    "inference_admin": ["monitor_inference", "manage_inference"],
}


def make_roles(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    using = schema_editor.connection.alias
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(using)
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    groups = apps.get_model("auth", "Group").objects.using(using)
    # Django makes permissions after all migrations have run; it leaves those alone that are there by then.
    content_type, _ = content_types.get_or_create(app_label="access", model="user")
    made = {
        codename: permissions.get_or_create(codename=codename, content_type=content_type, defaults={"name": name})[0]
        for codename, name in PERMISSIONS.items()
    }
    for role, codenames in ROLES.items():
        group, _ = groups.get_or_create(name=role)
        group.permissions.add(*(made[codename] for codename in codenames))


def make_version(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("access", "ConfigVersion").objects.using(schema_editor.connection.alias).get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [
        migrations.RunPython(make_roles, migrations.RunPython.noop),
        migrations.RunPython(make_version, migrations.RunPython.noop),
    ]
