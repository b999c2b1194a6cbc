from django.apps import AppConfig


class InferenceProjectConfig(AppConfig):
    name = "inference_project"

    def ready(self) -> None:
        from inference_project import checks  # noqa: F401
