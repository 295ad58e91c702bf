// What htmx leaves to do: look again while the live stream is away, never show a job twice, copy, count down.
"use strict";

(() => {
  const LOOK_AGAIN_MS = 3000;
  const LAST_SECONDS = 120;
  const SENT_AGAIN_MS = 5000;
  let live = false;

  const refresh = () => htmx.trigger(document.body, "refresh");
  const open = (kind) =>
    [...document.querySelectorAll(`article.${kind}[data-open]`)].map((card) => card.id).join(",");

  document.addEventListener("htmx:sseOpen", () => { live = true; });
  document.addEventListener("htmx:sseError", () => { live = false; });
  document.addEventListener("htmx:sseClose", () => { live = false; });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  setInterval(() => { if (!live && !document.hidden) refresh(); }, LOOK_AGAIN_MS);

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.path.startsWith("/refresh")) {
      event.detail.parameters["jobs"] = open("job");
      event.detail.parameters["topups"] = open("topup");
    }
  });

  // A new job comes by the answer to the form and by the stream, in any order.
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const card = event.detail.fragment.querySelector("article.job");
    if (event.detail.target.id === "jobs" && card && document.getElementById(card.id)) {
      event.detail.shouldSwap = false;
    }
  });

  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
  document.addEventListener("htmx:load", (event) => {
    for (const button of event.target.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
    document.getElementById("say").textContent = "Copied";
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
  });

  // A form without htmx is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, SENT_AGAIN_MS);
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  document.addEventListener("focusin", (event) => {
    if (event.target.id === "amount") {
      const custom = document.querySelector("input[name=pack][value=custom]");
      if (!custom.checked) {
        custom.checked = true;
        custom.dispatchEvent(new Event("change", { bubbles: true }));
      }
    }
  });

  setInterval(() => {
    for (const shown of document.querySelectorAll("[data-ends]")) {
      const seconds = Math.max(0, Math.round((Date.parse(shown.dataset.ends) - Date.now()) / 1000));
      shown.classList.toggle("soon", seconds <= LAST_SECONDS);
      shown.textContent = seconds <= LAST_SECONDS ? `(${seconds} s left)` : `(${Math.floor(seconds / 60)} min left)`;
    }
  }, 1000);
})();
