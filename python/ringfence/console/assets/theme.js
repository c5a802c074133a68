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
  const isKnown = () => document.cookie.split("; ").includes(`ringfence_zone=${zone}`);
  if (zone && !isKnown()) {
    document.cookie = `ringfence_zone=${zone}; path=/; max-age=31536000; samesite=strict`;
    // The page at hand was made for another zone (a journey, a first visit): ask for it again.
    if (isKnown() && !["/sign-in", "/password"].includes(location.pathname)) location.reload();
  }
  system.addEventListener("change", apply);
  apply();
})();
