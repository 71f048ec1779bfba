// What lives on a page: it looks again every few seconds, writes times as ages, asks before deeds, and has keys.
"use strict";

(() => {
  const root = document.body.dataset.root, pollMs = 1000 * Number(document.body.dataset.poll);
  const byId = (id) => document.getElementById(id);
  const live = byId("live"), sign = byId("live-sign"), banner = byId("banner");

  // --- times ---
  function span(s) {
    s = Math.abs(s);
    if (s < 60) return `${Math.floor(s)} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 86400) { const m = Math.floor((s % 3600) / 60); return `${Math.floor(s / 3600)} h${m && s < 36000 ? ` ${m} min` : ""}`; }
    const h = Math.floor((s % 86400) / 3600);
    return `${Math.floor(s / 86400)} d${h && s < 864000 ? ` ${h} h` : ""}`;
  }
  function words(time) {
    const then = Date.parse(time.dateTime), s = (Date.now() - then) / 1000, form = time.dataset.form;
    if (form === "at") return time.title.slice(0, 16);
    if (form === "age") return span(Math.max(0, s));
    if (s < 0) return s > -2 ? "now" : `in ${span(s)}`;
    return s < 2 ? "now" : `${span(s)} ago`;
  }
  function times() {
    for (const time of document.querySelectorAll("time[data-form]")) {
      const said = words(time);
      if (time.textContent !== said) time.textContent = said;
    }
  }

  // --- looking again ---
  let etag = null, last = Date.now(), looking = false, picked = new Set();
  const living = () => live && live.hasAttribute("data-living");
  const busy = () => document.querySelector("dialog[open]") || live.contains(document.activeElement) && /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && document.activeElement.type !== "checkbox" || document.querySelector("details.deed[open]") || !getSelection().isCollapsed;
  function look() {
    if (!living() || document.hidden || looking || busy()) return;
    looking = true;
    htmx.trigger(live, "tick");
  }
  function trouble(text, link) {
    banner.replaceChildren(text);
    if (link) { const a = document.createElement("a"); a.href = link; a.textContent = "Sign in again"; banner.append(" ", a); }
    banner.hidden = false;
    sign.classList.add("away");
    indicator();
  }
  function well() { banner.hidden = true; sign.classList.remove("away"); last = Date.now(); indicator(); }
  function indicator() {
    if (!living() || !sign) return;
    sign.hidden = false;
    const s = Math.round((Date.now() - last) / 1000);
    const text = sign.classList.contains("away") ? `no answer for ${span(s)}` : s > 3 * pollMs / 1000 ? `paused ${span(s)}` : "live";
    if (sign.lastElementChild.textContent !== text) sign.lastElementChild.textContent = text;
  }

  document.body.addEventListener("htmx:configRequest", (e) => { if (e.detail.elt === live && etag) e.detail.headers["If-None-Match"] = etag; });
  document.body.addEventListener("htmx:afterRequest", (e) => {
    if (e.detail.elt !== live) return;
    looking = false;
    const { status } = e.detail.xhr;
    if (status === 200 || status === 304) { if (status === 200) etag = e.detail.xhr.getResponseHeader("ETag"); well(); }
    else if (status === 401) trouble("You are signed out.", `${root}/login?then=${encodeURIComponent(location.pathname + location.search)}`);
    else if (status === 503) trouble("The database does not answer. This page shows what it last knew, and goes on asking.");
    else if (status === 404) trouble("This is no longer there.");
    else if (status) trouble(`The page's server answered ${status}. It is asked again.`);
    else trouble("The page's server does not answer. It is asked again.");
  });
  // An answer that was under way when somebody went into the past comes too late.
  document.body.addEventListener("htmx:beforeSwap", (e) => { if (e.detail.target === live && !living()) e.detail.shouldSwap = false; });
  document.body.addEventListener("htmx:afterSwap", fresh);
  document.body.addEventListener("act:fresh", fresh);
  if (globalThis.Idiomorph) {
    // What the browser made of a figure, and what a person opened, stays.
    Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, fresh_) => !(old.classList?.contains("plot") && old.id === fresh_.id);
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");
  }
  function fresh() { times(); Charts.all(); repick(); }

  // --- picking jobs ---
  function repick() {
    const form = document.querySelector("form[data-picks]");
    if (!form) return;
    const boxes = [...form.querySelectorAll('input[name="job"]')];
    for (const box of boxes) box.checked = picked.has(box.value);
    const n = boxes.filter((box) => box.checked).length, all = form.querySelector("[data-all]");
    if (all) { all.checked = n > 0 && n === boxes.length; all.indeterminate = n > 0 && n < boxes.length; }
    for (const button of form.querySelectorAll("[data-needs-picks]")) button.disabled = n === 0;
    const count = form.querySelector("[data-count]");
    if (count) count.textContent = n ? `(${n})` : "";
  }
  document.addEventListener("change", (e) => {
    const form = e.target.closest?.("form[data-picks]");
    if (!form) return;
    const boxes = e.target.hasAttribute("data-all") ? form.querySelectorAll('input[name="job"]') : e.target.name === "job" ? [e.target] : [];
    for (const box of boxes) { if (e.target.checked) picked.add(box.value); else picked.delete(box.value); }
    repick();
  });

  // --- asking before deeds ---
  const dialog = byId("confirm");
  document.addEventListener("submit", (e) => {
    const form = e.target, button = e.submitter;
    if (!form.dataset.confirm || form.dataset.sure || button?.hasAttribute("data-no-confirm")) return;
    e.preventDefault();
    const values = { n: picked.size, request: form.elements.request?.value, mode: form.elements.mode?.value };
    byId("confirm-words").textContent = form.dataset.confirm.replace(/\{(\w+)\}/g, (_all, key) => values[key] ?? "");
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") return;
      form.dataset.sure = "yes";
      form.requestSubmit(button);
    }, { once: true });
    dialog.showModal();
  });

  // --- keys, theme, help ---
  const goes = { o: "/", c: "/ces", q: "/queues", j: "/jobs", d: "/decisions" };
  let g = 0;
  function theme() {
    const now = document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("act-theme", next); } catch { /* holds for this page */ }
    Charts.all(true);
  }
  byId("theme").addEventListener("click", theme);
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName) && e.target.type !== "range" || document.querySelector("dialog[open]")) return;
    if (e.key === "/") { const field = byId("search"); if (field) { e.preventDefault(); field.focus(); field.select(); } }
    else if (e.key === "?") byId("help").showModal();
    else if (e.key === "t") theme();
    else if (e.key === "g") g = Date.now();
    else if (goes[e.key] && Date.now() - g < 1500) location.assign(root + goes[e.key]);
    else if (e.key === "p" && byId("time")) { byId("time").open = true; byId("time").querySelector("[type=range]").focus(); }
    else if (e.key === "n" && byId("time")) location.assign(location.pathname);
  });

  // A cookie of ours does not come along from a link elsewhere; from here it does.
  const login = byId("login");
  if (login) fetch(`${root}/signed-in`).then((answer) => answer.json()).then((said) => { if (said.signed_in) location.replace(location.href); }).catch(() => {});

  fresh();
  setInterval(() => { times(); indicator(); }, 1000);
  setInterval(look, pollMs);
  document.addEventListener("visibilitychange", look);
  indicator();
})();
