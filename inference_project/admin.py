"""The admin as a whole; each room registers its own tables."""

from __future__ import annotations

from django.contrib import admin

admin.site.site_header = admin.site.site_title = "Inference gateway"
admin.site.index_title = "Administration"
# The root of the gateway is its API; there is no page to view.
admin.site.site_url = None
