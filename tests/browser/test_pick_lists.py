"""Lists of choices that a script draws are called after their labels, for those who do not see them."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Open


def test_pick_lists_have_the_names_of_their_labels(signed_in: Open) -> None:
    page = signed_in().open("/admin/access/apikey/add/")
    expect(page.get_by_role("combobox", name="Inference endpoints")).to_be_visible()
    expect(page.get_by_role("searchbox", name="Inference endpoints")).to_be_visible()
    owner = page.get_by_role("combobox", name="Owner", exact=True)
    owner.click()
    expect(page.get_by_role("searchbox", name="Search").last).to_be_visible()
    page.get_by_role("option", name="lea", exact=True).click()
    expect(page.get_by_role("combobox", name="Owner: lea")).to_be_visible()


def test_members_of_a_team_are_chosen_in_fields_with_names(signed_in: Open) -> None:
    window = signed_in()
    window.open("/admin/access/team/")
    window.page.locator("#result_list th a", has_text="Search").click()
    window.page.wait_for_url("**/change/**")
    expect(window.page.get_by_role("combobox", name="User: lea")).to_be_visible()
    expect(window.page.get_by_role("combobox", name="Role").first).to_be_visible()
    window.page.get_by_text("Add another Member").click()
    expect(window.page.get_by_role("combobox", name="User", exact=True)).to_be_visible()
