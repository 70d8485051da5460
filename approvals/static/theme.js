// Sets light or dark before the first paint: the person's choice, else the system's.
(() => {
  // Without scripts a page has one column, with the decision after the item.
  document.documentElement.classList.add("js");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  const apply = () => {
    const isDark = chosen() ? chosen() === "dark" : dark.matches;
    document.documentElement.classList.toggle("dark", isDark);
  };
  apply();
  dark.addEventListener("change", apply);
  addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-theme-toggle]")) return;
    const next = document.documentElement.classList.contains("dark") ? "light" : "dark";
    try { localStorage.setItem("theme", next); } catch { /* the choice lasts for this page */ }
    document.documentElement.classList.toggle("dark", next === "dark");
  });
})();
