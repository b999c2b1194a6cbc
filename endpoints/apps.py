from django.apps import AppConfig


class EndpointsConfig(AppConfig):
    name = "endpoints"
    verbose_name = "Inference"

    def ready(self) -> None:
        from endpoints import checks, signals  # noqa: F401
