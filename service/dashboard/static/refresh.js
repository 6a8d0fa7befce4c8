// Fetches what changes and swaps it in: when the service tells that something did, or else every
// two seconds. The page is whole without it.
"use strict";

(() => {
  const PERIOD_MS = 2000;
  // of these periods, one in which a page looks though it is told, or asks to be told again
  const SELDOM = 8;
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

  let ended = area !== null && area.querySelector("[data-ended]") !== null;
  let stream = null;
  let looking = false;
  let news = false;

  // a look at a time; what is told meanwhile is looked at afterwards
  const refresh = async () => {
    news = true;
    if (looking) return;
    looking = true;
    try {
      while (news && !ended && !document.hidden) {
        news = false;
        ended = !(await look());
      }
      mark();
    } catch {
      say("The service does not answer; asking again.");
    } finally {
      looking = false;
    }
    if (ended) close();
  };

  // told when something is new, or asking: the mark says which
  const live = () => stream !== null && stream.readyState === EventSource.OPEN;
  const mark = () => {
    const place = document.getElementById("live");
    if (!place) return;
    place.hidden = ended;
    place.textContent = live() ? "live" : "not live: asking every 2 s";
    place.classList.toggle("on", live());
  };

  const close = () => {
    if (stream !== null) stream.close();
    stream = null;
    mark();
  };

  // one connection a page, and none while it is hidden: browsers have few for each service
  const open = () => {
    const url = area.dataset.events;
    if (!url || ended || stream !== null || document.hidden) return;
    stream = new EventSource(url);
    for (const name of ["state", "progress", "telemetry", "end"]) {
      stream.addEventListener(name, refresh);
    }
    stream.addEventListener("open", mark);
    stream.addEventListener("error", () => {
      if (stream !== null && stream.readyState === EventSource.CLOSED) {
        close(); // refused: it is tried again with the next look
      }
      mark();
    });
  };

  let since = 0;
  const again = async () => {
    since += 1;
    if (!live() || since % SELDOM === 0) await refresh();
    if (!live() && since % SELDOM === 0) open();
    if (!ended) setTimeout(again, PERIOD_MS);
  };

  if (area) {
    load();
    if (!ended) {
      open();
      setTimeout(again, PERIOD_MS);
      document.addEventListener("visibilitychange", () => {
        if (document.hidden) {
          close();
        } else {
          open();
          refresh();
        }
      });
    }
  }
})();
