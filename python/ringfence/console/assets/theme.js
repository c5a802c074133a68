// Light or dark before the first paint: the choice in the cookie, else the system's. And the viewer's zone for the
// server, which cuts hours and days by it.
(() => {
  "use strict";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const choice = () => (document.cookie.match(/(?:^|; )ringfence_theme=(light|dark)/) || [])[1] || "system";
  const apply = () => {
    const chosen = choice();
    const dark = chosen === "dark" || (chosen === "system" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.documentElement.dataset.themeChoice = chosen;
    if (window.Quasar) window.Quasar.Dark.set(dark);
  };
  window.ringfenceTheme = (chosen) => {
    document.cookie = `ringfence_theme=${chosen}; path=/; max-age=31536000; samesite=strict`;
    apply();
  };
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `ringfence_zone=${zone}; path=/; max-age=31536000; samesite=strict`;
  system.addEventListener("change", apply);
  apply();
})();
