// Before anything is drawn: the theme that was chosen here before, if it is not the system's.
try {
  const chosen = localStorage.getItem("netstack-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* no storage: as the system has it */ }
