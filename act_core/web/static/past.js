// The page as it was: the slider brings another moment into the page, and the address follows it.
"use strict";

(() => {
  const box = document.getElementById("time"), live = document.getElementById("live");
  if (!box) return;
  const form = box.querySelector("form"), slider = form.querySelector('[type="range"]'), field = form.elements.at;
  const AFTER_MS = 250;
  let waits = 0, asked = 0;

  const iso = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 19);
  const clamp = (seconds) => Math.min(Number(slider.max), Math.max(Number(slider.min), seconds));
  function stand(seconds) {
    const text = iso(clamp(seconds));
    slider.value = clamp(seconds);
    slider.setAttribute("aria-valuetext", `${text.replace("T", " ")} UTC`);
    field.value = text;
  }
  function coarse() {
    // An arrow key is a 200th of the whole.
    slider.step = Math.max(1, Math.round((slider.max - slider.min) / 200));
    slider.step = slider.step > 60 ? 60 * Math.round(slider.step / 60) : slider.step;
  }

  async function show() {
    const number = ++asked, address = `${form.action}?at=${encodeURIComponent(field.value)}`;
    live.removeAttribute("data-living");
    document.getElementById("live-sign").hidden = true;
    let answer;
    try { answer = await fetch(address, { headers: { "HX-Request": "true" } }); } catch { answer = null; }
    if (number !== asked) return;
    if (!answer || ![200, 400].includes(answer.status)) { location.assign(address); return; }
    Idiomorph.morph(live, await answer.text(), { morphStyle: "innerHTML" });
    history.replaceState(null, "", address);
    document.body.dispatchEvent(new Event("act:fresh"));
  }
  function soon() { clearTimeout(waits); waits = setTimeout(show, AFTER_MS); }

  slider.addEventListener("input", () => { stand(Number(slider.value)); soon(); });
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    clearTimeout(waits);
    const seconds = Date.parse(`${field.value}Z`) / 1000;
    if (Number.isFinite(seconds)) slider.value = seconds;
    show();
  });
  for (const button of form.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => { stand(Date.parse(`${field.value}Z`) / 1000 + Number(button.dataset.step)); soon(); });
  }
  box.addEventListener("toggle", () => {
    if (!box.open) return;
    // Until now, by this page's age: what was "now" when it was loaded is past.
    slider.max = Math.max(Number(slider.max), Math.min(Math.floor(Date.now() / 1000), Number(slider.max) + Math.floor(performance.now() / 1000)));
    field.max = iso(Number(slider.max));
    coarse();
  });
  coarse();
})();
