/**
 * What runs in the browser: on each change the page is fetched again and its parts are exchanged, so that the
 * place on the page, and what was folded out, stay. No library, nothing from elsewhere.
 */
export const UI_CLIENT = `'use strict';
const opened = () => [...document.querySelectorAll('details')].map((it) => it.open);
let busy = false;
let again = false;
async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    const answer = await fetch(location.pathname, { cache: 'no-store' });
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const open = opened();
    const scrolled = [...document.querySelectorAll('.scroll')].map((it) => [it.scrollLeft, it.scrollTop]);
    document.title = next.title;
    for (const part of ['header.top', 'main', 'footer']) {
      const [old, fresh] = [document.querySelector(part), next.querySelector(part)];
      if (old && fresh && old.innerHTML !== fresh.innerHTML) old.innerHTML = fresh.innerHTML;
    }
    document.querySelectorAll('details').forEach((it, index) => { it.open = open[index] ?? it.open; });
    document.querySelectorAll('.scroll').forEach((it, index) => { [it.scrollLeft, it.scrollTop] = scrolled[index] ?? [0, 0]; });
  } catch {
    // The server is being restarted: the stream of changes tells when it is back.
  } finally {
    busy = false;
    if (again) { again = false; void refresh(); }
  }
}
new EventSource('/changes').addEventListener('change', () => void refresh());
`;
