// Makes what unfold made for eyes and mice alone work with the keyboard and with screen readers: whatever has a handler
// of clicks and is no link or button gets the focus, a role and the keys of a button; what shows only an icon gets a
// name; what select2 puts in the place of a list of choices gets the label of that list; and the parts of the page get
// their roles.
const NAMES = {
  add: "Add",
  arrow_back: "Back",
  close: "Close the navigation",
  computer: "Theme",
  dark_mode: "Theme",
  dock_to_right: "Show or hide the navigation",
  filter_list: "Filters",
  forum: "Home",
  light_mode: "Theme",
  more_horiz: "More",
  more_vert: "More",
  search: "Search",
  unfold_more: "User menu and theme",
};
const FOCUSABLE = "a[href], button, input, select, textarea, summary";

function name(element) {
  const icons = element.matches(".material-symbols-outlined")
    ? [element]
    : [...element.querySelectorAll(".material-symbols-outlined")];
  const text = icons.reduce((rest, icon) => rest.replace(icon.textContent, ""), element.textContent).trim();
  const icon = icons.map((one) => one.textContent.trim()).find((one) => one in NAMES);
  if (!text && icon && !element.hasAttribute("aria-label")) {
    element.setAttribute("aria-label", element.title || NAMES[icon]);
  }
}

function pressable(element) {
  if (element.matches(FOCUSABLE) || element.closest("[role=dialog]") || element.tagName === "BODY") return;
  element.setAttribute("role", "button");
  element.tabIndex = 0;
  element.addEventListener("keydown", (event) => {
    if (event.target !== element || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    element.click();
  });
}

// Select2 names the field after what is chosen in it, and not after its label.
function named(container) {
  const select = container.previousElementSibling;
  const label = select?.labels?.[0];
  const text = label ? label.textContent.replace("*", "").trim() : select?.getAttribute("aria-label");
  if (!text) return;
  const chosen = container.querySelector(".select2-selection__rendered");
  chosen?.removeAttribute("role");
  chosen?.removeAttribute("aria-readonly");
  const value = container.querySelector(".select2-selection--single") ? chosen?.title : "";
  const selection = container.querySelector(".select2-selection");
  selection.removeAttribute("aria-labelledby");
  selection.setAttribute("aria-label", value ? `${text}: ${value}` : text);
  container.querySelector(".select2-search__field")?.setAttribute("aria-label", text);
}

// While a list is open, the field that is typed into stands elsewhere on the page.
function nameLists() {
  document.querySelectorAll("select + .select2-container").forEach(named);
  document.querySelector(".select2-dropdown .select2-search__field")?.setAttribute("aria-label", "Search");
}

// Lists are made, filled and opened at any time.
function keepListsNamed() {
  if (!document.querySelector("select.admin-autocomplete, select.unfold-admin-autocomplete")) return;
  nameLists();
  new MutationObserver(nameLists).observe(document.body, { childList: true, subtree: true });
}

function parts() {
  const content = document.getElementById("content");
  (content || document.getElementById("page"))?.setAttribute("role", "main");
  if (content) document.querySelector("#main > :first-child")?.setAttribute("role", "banner");
  document.getElementById("submit-row")?.setAttribute("role", "contentinfo");
  for (const list of document.querySelectorAll("#nav-sidebar-apps .simplebar-content-wrapper")) list.setAttribute("aria-label", "Pages");
}

document.addEventListener("DOMContentLoaded", () => {
  parts();
  for (const element of document.querySelectorAll("[x-on\\:click]")) pressable(element);
  for (const element of document.querySelectorAll("a, button, [role=button]")) name(element);
  for (const icon of document.querySelectorAll(".material-symbols-outlined")) {
    if (!icon.hasAttribute("role")) icon.setAttribute("aria-hidden", "true");
  }
  keepListsNamed();
  const search = document.getElementById("searchbar");
  if (search) search.setAttribute("aria-label", "Search");
});
