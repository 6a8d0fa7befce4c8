// Fetches what changes every two seconds and swaps it in; the page is whole without it.
"use strict";

(() => {
  const PERIOD_MS = 2000;
  const area = document.querySelector("[data-refresh]");
  const notice = document.getElementById("notice");
  let tag = null;

  const say = (words) => {
    notice.textContent = words;
    notice.hidden = words === "";
  };

  // someone is copying a number out of the area
  const selecting = () => {
    const chosen = document.getSelection();
    return chosen && !chosen.isCollapsed && area.contains(chosen.anchorNode);
  };

  const swap = (text) => {
    const focus = area.contains(document.activeElement) && document.activeElement.getAttribute("href");
    area.innerHTML = text;
    if (focus) {
      area.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
    }
    load();
  };

  // parts that cost more than counters are asked for once
  const load = () => {
    for (const part of area.querySelectorAll("[data-load]")) {
      const url = part.dataset.load;
      part.removeAttribute("data-load");
      fetch(url, { cache: "no-store" })
        .then((reply) => (reply.ok ? reply.text() : null))
        .then((text) => {
          if (text !== null) part.innerHTML = text;
        })
        .catch(() => {}); // the link that stands there says where else to look
    }
  };

  const look = async () => {
    const headers = tag ? { "If-None-Match": tag } : {};
    const reply = await fetch(area.dataset.refresh, { cache: "no-store", headers });
    if (reply.status === 401) {
      say("You are logged out: reload the page to log in again.");
      return false;
    }
    if (reply.status === 404) {
      say("This sweep is gone: it was deleted.");
      return false;
    }
    if (reply.status !== 304) {
      if (!reply.ok) throw new Error(String(reply.status));
      const text = await reply.text();
      if (!selecting()) {
        tag = reply.headers.get("ETag");
        swap(text);
      }
    }
    say("");
    return area.querySelector("[data-ended]") === null;
  };

  const again = async () => {
    let more = true;
    if (!document.hidden) {
      try {
        more = await look();
      } catch {
        say("The service does not answer; asking again.");
      }
    }
    if (more) setTimeout(again, PERIOD_MS);
  };

  if (area) {
    load();
    if (area.querySelector("[data-ended]") === null) setTimeout(again, PERIOD_MS);
  }
})();
