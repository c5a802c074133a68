// What only the browser knows: the viewer's time zone, the width of the window, the keyboard.
// Values reach the page through textContent alone; a caller's number can never become markup.
(() => {
  "use strict";
  const pad = (number, width = 2) => String(number).padStart(width, "0");
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

  const parse = (iso) => (iso ? new Date(iso) : null);
  const clock = (at) => `${pad(at.getHours())}:${pad(at.getMinutes())}`;
  const isToday = (at) => at.toDateString() === new Date().toDateString();

  const time = (iso) => {
    const at = parse(iso);
    if (!at || isNaN(at)) return "–";
    const text = `${clock(at)}:${pad(at.getSeconds())}`;
    return isToday(at) ? text : `${day.format(at)} ${text}`;
  };
  const fine = (iso) => {
    const at = parse(iso);
    return !at || isNaN(at) ? "–" : `${time(iso)}.${pad(at.getMilliseconds(), 3)}`;
  };
  const bucket = (iso, grouping) => {
    const at = parse(iso);
    if (!at || isNaN(at)) return "–";
    if (grouping === "second") return `${clock(at)}:${pad(at.getSeconds())}`;
    if (grouping === "day" || grouping === "week") return `${day.format(at)} ${clock(at) === "00:00" ? "" : clock(at)}`.trim();
    return isToday(at) ? clock(at) : `${day.format(at)} ${clock(at)}`;
  };
  const utc = (iso) => {
    const at = parse(iso);
    return !at || isNaN(at) ? "" : `${at.toISOString().replace("T", " ").replace("Z", "")} UTC (shown in ${zone})`;
  };
  const ago = (iso) => {
    const at = parse(iso);
    if (!at || isNaN(at)) return "never";
    const seconds = Math.max(0, (Date.now() - at) / 1000);
    if (seconds < 1.5) return "now";
    if (seconds < 90) return `${Math.round(seconds)} s ago`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
    if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
    return `${Math.round(seconds / 86400)} days ago`;
  };
  // What is left until then, as 4:05; counted down every second.
  const left = (iso) => {
    const at = parse(iso);
    if (!at || isNaN(at)) return "–";
    const seconds = Math.max(0, Math.round((at - Date.now()) / 1000));
    return `${Math.floor(seconds / 60)}:${pad(seconds % 60)}`;
  };
  const styles = { ago, fine, left };

  class RingfenceTime extends HTMLElement {
    static observedAttributes = ["iso"];
    connectedCallback() { this.show(); }
    attributeChangedCallback() { this.show(); }
    show() {
      const iso = this.getAttribute("iso");
      const style = this.getAttribute("shown");
      const text = (styles[style] ?? time)(iso);
      if (this.textContent !== text) this.textContent = text;
      this.title = utc(iso);
    }
  }
  customElements.define("rf-time", RingfenceTime);
  setInterval(() => document.querySelectorAll("rf-time[shown=ago], rf-time[shown=left]").forEach((element) => element.show()), 1000);

  // Tabs that may not all fit: the present one is brought into sight.
  class RingfenceTabs extends HTMLElement {
    connectedCallback() {
      requestAnimationFrame(() => {
        const present = this.querySelector("[aria-current]");
        if (present) this.scrollLeft = present.offsetLeft - (this.clientWidth - present.offsetWidth) / 2;
      });
    }
  }
  customElements.define("rf-tabs", RingfenceTabs);

  // A date and time field in the viewer's zone; its value travels as UTC.
  const localValue = (iso) => {
    const at = parse(iso);
    return at ? `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}T${clock(at)}` : "";
  };
  class RingfenceWhen extends HTMLElement {
    static observedAttributes = ["iso"];
    connectedCallback() {
      if (this.input) return;
      this.input = document.createElement("input");
      this.input.type = "datetime-local";
      this.input.setAttribute("aria-label", this.getAttribute("label"));
      this.input.addEventListener("change", (event) => {
        event.stopPropagation();
        const at = new Date(this.input.value);
        if (!isNaN(at)) this.dispatchEvent(new CustomEvent("when", { detail: at.toISOString() }));
      });
      this.append(this.input);
      this.attributeChangedCallback();
    }
    attributeChangedCallback() {
      if (this.input) this.input.value = localValue(this.getAttribute("iso"));
    }
  }
  customElements.define("rf-when", RingfenceWhen);

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) if (value) made.setAttribute(key, value);
    return made;
  };
  const words = { none: "No opinion", allow: "Allow", terminate: "Terminate", redirect: "Redirect", unknown: "–",
    answered: "Answered", busy: "Busy", no_answer: "No answer", cancelled: "Cancelled", not_found: "Not found",
    rejected: "Rejected", redirected: "Redirected", unauthorized: "Unauthorized", failed: "Failed",
    unfinished: "Unfinished" };
  const word = (value) => words[value] || String(value ?? "–").replaceAll("_", " ");

  // AG Grid cells. Each returns a node.
  const cells = {
    time: (p) => element("span", narrow() ? time(p.value) : fine(p.value), { title: utc(p.value) }),
    pair: (p) => {
      const lines = element("div", "", { class: "pair" });
      for (const side of ["source", "destination"]) {
        lines.append(element("span", p.data[side], { title: p.data[`${side}_national`] }));
      }
      return lines;
    },
    bucket: (p) => {
      const text = bucket(p.value, p.data.grouping);
      return p.data.link && p.colDef.linked
        ? element("a", text, { href: p.data.link, title: utc(p.value) })
        : element("span", text, { title: utc(p.value) });
    },
    number: (p) => element("span", p.value ?? "–", { title: p.data[`${p.colDef.field}_national`], class: "number" }),
    action: (p) => element("span", word(p.value), { class: `pill ${p.value}` }),
    verdict: (p) => element("span", p.data.verdict_words, { class: `pill ${p.value}` }),
    word: (p) => element("span", word(p.value), {}),
    rule: (p) => (p.value ? element("span", p.value, { title: p.value }) : element("span", "–", { class: "muted" })),
    tools: (p) => {
      const tools = element("div", "", { class: "cell-tools" });
      const explain = element("a", "", { href: p.data.explain, title: "Explain", "aria-label": "Explain this call" });
      const list = element("button", "", { type: "button", title: "Put on a list", "aria-label": "Put on a list" });
      for (const [tool, icon] of [[explain, "troubleshoot"], [list, "playlist_add"]]) {
        tool.append(element("i", icon, { class: "material-icons", "aria-hidden": "true" }));
        tool.addEventListener("keydown", (event) => event.stopPropagation());
      }
      list.addEventListener("click", () => emitEvent("call_listed", p.data.key));
      tools.addEventListener("click", (event) => event.stopPropagation());
      tools.append(explain, list);
      return tools;
    },
    linked: (p) => {
      const text = typeof p.value === "number" ? count(p.value) : String(p.value ?? "–");
      const link = p.data[`${p.colDef.field}_link`] || p.data.link;
      if (p.value === 0) return element("span", "0", { class: "muted" });
      if (!link) return element("span", text);
      const anchor = element("a", text, { href: link, title: p.data[`${p.colDef.field}_national`] });
      const colour = p.data[`${p.colDef.field}_colour`];
      if (colour) {
        const dot = element("i", "", { class: "dot" });
        dot.style.background = colour;
        anchor.prepend(dot);
      }
      return anchor;
    },
  };
  // A form's file, in one stream, to the API; what it says goes to the page.
  const upload = async (event, emit) => {
    event.preventDefault();
    const form = event.target;
    const fields = new FormData(form);
    const button = form.querySelector("[type=submit]");
    const replace = fields.has("replace") ? "true" : "false";
    const address = `${form.dataset.upload}&format=${fields.get("format")}&replace=${replace}`;
    button.disabled = true;
    try {
      const answer = await fetch(address, { method: "POST", body: fields.get("file") });
      emit(await answer.json());
    } catch {
      emit({ message: "The file could not be sent. Is it still there, and the mediation up?" });
    } finally {
      button.disabled = false;
    }
  };
  const count = (value) => Number(value).toLocaleString("en", { maximumFractionDigits: 2 });

  // Figures that lead nowhere: as many digits as they can mean.
  const figure = (p) => {
    if (p.value === null || p.value === undefined) return "–";
    const value = Number(p.value);
    return value.toLocaleString("en", { maximumFractionDigits: Number.isInteger(value) ? 0 : Math.abs(value) < 10 ? 3 : 1 });
  };
  const change = (p) => (p.value === null || p.value === undefined ? "–"
    : `${p.value > 0 ? "+" : ""}${(p.value * 100).toFixed(1)} %`);

  const narrow = () => innerWidth < 760;
  const follow = (event) => {
    const link = event?.data?.link;
    if (typeof link === "string" && link.startsWith("/") && !link.startsWith("//")) location.assign(link);
  };

  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.removeAttribute("open");
    }
    const shutter = event.target.closest?.("[data-shows]");
    if (shutter) {
      const shown = document.querySelector(shutter.dataset.shows)?.classList.toggle("shown");
      shutter.setAttribute("aria-expanded", String(Boolean(shown)));
    }
    const theme = event.target.closest?.("[data-set-theme]");
    if (theme) window.ringfenceTheme(theme.dataset.setTheme);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      menu.removeAttribute("open");
      menu.querySelector("summary")?.focus();
    });
    document.querySelector(".drawer.open .close")?.click();
  });

  // Rows that are put into order: dragged by their handle, or moved by the arrow keys on it. The table stays as it is
  // until the page has heard, so what is seen is what is true.
  let dragged = null;
  const sortable = (target) => target.closest?.("[data-sortable]");
  const mark = (row, side) => {
    document.querySelectorAll("tr.drop-before, tr.drop-after").forEach((one) => {
      one.classList.remove("drop-before", "drop-after");
    });
    if (row && side) row.classList.add(`drop-${side}`);
  };
  const dropSide = (row, event) => {
    const box = row.getBoundingClientRect();
    return event.clientY < box.top + box.height / 2 ? "before" : "after";
  };
  const overRow = (event) => {
    const row = event.target.closest?.("tr[data-name]");
    return dragged && row && sortable(row) === sortable(dragged) ? row : null;
  };
  document.addEventListener("dragstart", (event) => {
    const handle = event.target.closest?.("[data-handle]");
    if (!handle) return;
    dragged = handle.closest("tr[data-name]");
    dragged.classList.add("dragged");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.name);
    event.dataTransfer.setDragImage(dragged, 12, 12);
  });
  document.addEventListener("dragover", (event) => {
    const row = overRow(event);
    if (!row) return;
    event.preventDefault();
    mark(row, dropSide(row, event));
  });
  document.addEventListener("drop", (event) => {
    const row = overRow(event);
    if (!row) return;
    event.preventDefault();
    const next = dropSide(row, event) === "before" ? row : row.nextElementSibling;
    if (row !== dragged && next !== dragged) {
      emitEvent(sortable(row).dataset.sortable, { name: dragged.dataset.name, before: next?.dataset.name ?? null });
    }
  });
  document.addEventListener("dragend", () => {
    dragged?.classList.remove("dragged");
    dragged = null;
    mark(null);
  });
  document.addEventListener("keydown", (event) => {
    const handle = event.target.closest?.("[data-handle]");
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!handle || !step) return;
    event.preventDefault();
    emitEvent(sortable(handle).dataset.sortable, { name: handle.dataset.handle, step });
  });
  const focusHandle = (name) => requestAnimationFrame(() => {
    document.querySelector(`[data-handle=${JSON.stringify(name)}]`)?.focus();
  });

  window.rf = { figure, change, focusHandle, upload, left, time, fine, bucket, utc, ago, cells, count, narrow, follow };
})();
