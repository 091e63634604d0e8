// Joins what the services saw of an event's way: each is asked with the events found so far, until none finds more.
"use strict";
(() => {
  const list = document.getElementById("way");
  if (!list) return;
  const AT_ONCE = 50, ROUNDS = 6, MOST = 400;
  const { id, own, label, others, counted, closed, open } = list.dataset;
  const services = [{ label, href: own }, ...JSON.parse(others)].map((one) => ({ ...one, told: new Set(), asked: one.href === own }));
  const known = () => new Set([...list.querySelectorAll("[data-event]")].map((hop) => hop.dataset.event));

  const shown = (number, further) => new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1, ...further }).format(number);

  // In the unit in which it has few digits: what waits for people takes minutes and days.
  const UNITS = [["day", 172_800, 86_400], ["hour", 7200, 3600], ["minute", 600, 60], ["second", 10, 1], ["millisecond", 0, 0.001]];
  function span(seconds) {
    const [unit, , length] = UNITS.find(([, least]) => seconds >= least);
    return shown(seconds / length, { style: "unit", unit, unitDisplay: "short" });
  }

  async function ask(service, events) {
    const query = new URLSearchParams([["id", id], ...events.map((event) => ["event", event])]);
    events.forEach((event) => service.told.add(event));
    service.asked = true;
    let answer;
    try {
      answer = await fetch(`${service.href}/hops?${query}`, { headers: { Accept: "text/html" } });
    } catch { answer = null; }
    // A service that we are not signed in to leads through the sign-in and back, unheard; or it ends there.
    if (!answer?.ok || !new URL(answer.url).pathname.startsWith(new URL(service.href, location).pathname)) { service.away = true; return; }
    const part = document.createElement("template");
    part.innerHTML = await answer.text();
    for (const hop of part.content.querySelectorAll("li[id]")) {
      if (!document.getElementById(hop.id)) list.append(hop);
    }
    arrange();
  }

  function arrange() {
    const hops = [...list.querySelectorAll("li[data-at]")];
    hops.sort((a, b) => a.dataset.at - b.dataset.at || a.dataset.order - b.dataset.order);
    list.append(...hops);
    const times = hops.filter((hop) => hop.dataset.event).map((hop) => Number(hop.dataset.at));
    for (const hop of hops) {
      const after = hop.querySelector("[data-after]");
      if (after) after.textContent = `+${span(hop.dataset.at - times[0])}`;
    }
    document.getElementById("way-empty").hidden = hops.length > 0;
    if (times.length) {
      document.getElementById("way-count").textContent = counted
        .replace("{n}", shown(times.length)).replace("{time}", span(times[times.length - 1] - times[0]));
    }
    // The people in what came later are named as in every other part that does.
    list.dispatchEvent(new Event("htmx:afterSettle", { bubbles: true }));
  }

  function tellOfTheClosed() {
    document.getElementById("way-closed").replaceChildren(...services.filter((one) => one.away).map((one) => {
      const line = document.createElement("p"), link = document.createElement("a");
      link.href = `${one.href}?${new URLSearchParams({ id })}`;
      link.textContent = open;
      line.className = "hint";
      line.append(`${closed.replace("{service}", one.label)} `, link);
      return line;
    }));
  }

  async function follow() {
    for (let round = 0; round < ROUNDS && known().size < MOST; round++) {
      const events = known();
      const works = services.filter((one) => !one.away).flatMap((one) => {
        const fresh = [...events].filter((event) => !one.told.has(event)).slice(0, AT_ONCE);
        return fresh.length || !one.asked ? [ask(one, fresh)] : [];
      });
      if (!works.length) break;
      await Promise.all(works);
    }
    tellOfTheClosed();
  }

  arrange();
  follow();
})();
