// What unfold's templates read, for Alpine's build that evaluates no code: there, globals are out of reach.
document.addEventListener("alpine:init", () => {
  Alpine.data("theme", theme);
  Alpine.data("searchForm", searchForm);
  Alpine.data("page", () => ({
    activeTab: getCurrentTab() || document.body.dataset.firstTab || "",
    sidebarMobileOpen: false,
    sidebarDesktopOpen: localStorage.getItem("sidebarDesktopOpen") !== "0",
    // The names that a browser gives to globals; these are the few properties that templates ask for.
    window: { location: { pathname: location.pathname, search: location.search } },
    localStorage: { setItem: (name, value) => localStorage.setItem(name, value) },
  }));
});
