// Swaps each marked part of the page for a fresh one every two seconds; an empty address means that nothing will change.
"use strict";
for (const part of document.querySelectorAll("[data-refresh]")) {
  const again = async () => {
    const address = part.dataset.refresh;
    if (!address) return;
    try {
      const reply = await fetch(address);
      if (reply.ok) part.innerHTML = await reply.text();
      document.body.classList.toggle("stale", !reply.ok);
    } catch {
      document.body.classList.add("stale");
    }
    setTimeout(again, 2000);
  };
  setTimeout(again, 2000);
}
