"""The addresses of the pages, below that of the admin."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from streaming import pages

urlpatterns = [
    path("playground/", admin.site.admin_view(pages.playground), name="playground"),
    path("live/", admin.site.admin_view(pages.live_streams), name="live_streams"),
    path("live/running", pages.running, name="live_streams_running"),
    path("live/stop", pages.stop, name="live_streams_stop"),
]
