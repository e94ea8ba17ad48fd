'use strict';
// The page works without this script. The script keeps it up to date: the first event of /events holds everything, later
// ones hold the changes. It inserts all text as text, never as markup.

const WINDOW = 900, SPANS = [60, 120, 300, WINDOW], STALE_AFTER = 3500, REOPEN_AFTER = 10000;
const $ = id => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';

function make(name, attributes = {}, text) {
  const isSVG = ['svg', 'path', 'text', 'use', 'rect', 'line'].includes(name);
  const element = isSVG ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Sets an element's text if it differs, so that unchanged text is not laid out or read out again. */
function setText(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

// MARK: Data

/** The latest event and its time, the seconds by number, and the state before the oldest second. */
let state = null, receivedAt = 0, seconds = new Map(), before, names = [], slotNames = [], slotWords = [];

/** Milliseconds since the service's start: those of the last event, plus the time since it while the connection is up. */
const now = () => state.now + (isStale ? 0 : Math.min(performance.now() - receivedAt, STALE_AFTER));
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
/** The time of day, given milliseconds since the service's start. */
const timeOfDay = at => clock.format(new Date(state.wall - state.now + at));

function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10000) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}
/** A running duration, without flicker. */
const elapsed = ms => ms < 10000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms);
const latency = us => us < 1000 ? `${(us / 1000).toFixed(2)} ms` : us < 10000 ? `${(us / 1000).toFixed(1)} ms` : duration(us / 1000);
const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

function apply(event, isSnapshot) {
  const previous = state;
  if (isSnapshot) {
    if (previous && previous.boot !== event.boot) announce('The service was restarted.');
    names = event.healths;
    slotNames = event.slotStates;
    slotWords = event.slotWords;
    seconds = new Map();
    before = undefined;
    state = event;
  } else {
    if (!state) return;
    state = { ...state, cause: undefined, next: undefined, ...event };
  }
  receivedAt = performance.now();
  for (const [number, health, pings = 0, failures = 0, median = 0, slowest = 0] of event.seconds) {
    seconds.set(number, { health: names[health], pings, failures, median, slowest });
  }
  // Remove seconds older than the window, but remember the state before it.
  for (const [number, second] of seconds) {
    if (number >= oldest()) break;
    before = second.health;
    seconds.delete(number);
  }
  if (previous && previous.health !== state.health) announce(`${state.headline}. ${state.note}`);
  if (event.outages || event.cause || previous?.cause) showOutages();
  showState();
  showSlots();
  draw();
}

/** The first second of the window at the last event. */
const oldest = () => Math.max(0, Math.floor(state.now / 1000) - WINDOW + 1);

/** The seconds of the window, oldest first, with the omitted ones filled in. */
function series() {
  const last = Math.floor(now() / 1000), all = [];
  let health = before;
  for (let number = oldest(); number <= last; number++) {
    const second = seconds.get(number);
    if (second) health = second.health;
    if (health && number > last - WINDOW) all.push({ number, pings: 0, ...second, health });
  }
  return all;
}

// MARK: State

function showState() {
  document.documentElement.dataset.health = state.health;
  document.title = `${state.headline} – Daruma`;
  setText('headline', state.headline);
  setText('note', state.note);
  const cause = state.cause;
  $('cause').hidden = !cause;
  if (cause) {
    setText('cause-code', cause.code);
    setText('cause-text', cause.message);
    setText('attempts', String(cause.attempts));
  }
  $('attempts-fact').hidden = $('next-fact').hidden = !cause;
  setText('since-label', state.sinceLabel);
  setText('falls', state.falls);
  setText('viewers', `, watched by ${count(state.viewers, 'page', 'pages')}`);
  tick();
}

/** Updates the running durations. */
function tick() {
  if (!state) return;
  const at = now();
  setText('since', elapsed(at - state.since));
  setText('uptime', duration(Math.floor(at / 1000) * 1000));
  if (state.cause) {
    const left = state.next === undefined ? undefined : state.next - (at - state.now);
    setText('next', left === undefined ? 'when needed' : left <= 50 ? 'now' : `in ${(left / 1000).toFixed(1)} s`);
  }
  const ongoing = $('ongoing');
  if (ongoing) ongoing.textContent = `${elapsed(at - state.since)}, ongoing`;
}

// MARK: Pool

function showSlots() {
  const list = $('slots'), slots = state.slots;
  setText('pool-summary', state.poolSummary);
  list.classList.toggle('many', slots.length > 40);
  while (list.children.length > slots.length) list.lastChild.remove();
  for (let index = 0; index < slots.length; index++) {
    const number = slots.charCodeAt(index) - 48, name = slotNames[number];
    let item = list.children[index];
    if (!item) {
      item = make('li');
      const doll = make('svg', { viewBox: '0 0 32 32', 'aria-hidden': 'true', focusable: 'false' });
      doll.append(make('use', { href: '#mini' }));
      item.append(doll, make('span'));
      list.append(item);
    }
    if (item.className === `s-${name}`) continue;
    item.className = `s-${name}`;
    item.title = item.lastChild.textContent = slotWords[number];
  }
}

// MARK: Outages

function showOutages() {
  const current = ['down', 'misconfigured', 'read-only'].includes(state.health) && { ...state, ...state.cause };
  const rows = [current, ...state.outages].filter(Boolean).map(outage => {
    const row = make('tr', outage === current ? { class: 'now' } : {});
    const cause = make('td');
    cause.append(make('code', {}, outage.code), ` ${outage.message}`);
    row.append(
      make('td', {}, timeOfDay(outage.since)),
      make('td', outage === current ? { id: 'ongoing' } : {}, outage === current ? '' : duration(outage.length)),
      make('td', {}, outage.health), cause, make('td', {}, String(outage.attempts)));
    return row;
  });
  $('outage-rows').replaceChildren(...rows);
  $('outages').hidden = rows.length === 0;
  $('no-outage').hidden = rows.length > 0;
  const { count: times, latest } = state.bridged;
  setText('bridged', times === 0 ? '' : `${count(times, 'short interruption', 'short interruptions')} masked: requests were delayed. `
    + `The latest one, at ${timeOfDay(latest.since)}, took ${duration(latest.length)}.`);
}

// MARK: Timeline

const chart = $('chart'), look = $('look');
const paths = {};
const STRIP = 14, LEFT = 46, BOTTOM = 22, TOP = 8;

function prepareChart() {
  const add = (key, kind, extra) => chart.append(paths[key] = make('path', { class: kind, ...extra }));
  add('grid', 'grid');
  chart.append(make('text', { id: 'axis-y' }));
  for (const name of names) add(`band-${name}`, `band k-${name}`);
  for (const name of names) {
    add(`strip-${name}`, `k-${name}`);
    if ($(`h-${name}`)) add(`hatch-${name}`, '', { fill: `url(#h-${name})` });
  }
  for (const key of ['whisker', 'ok', 'bad', 'origin', 'cursor']) add(key, key);
  paths.labels = make('svg', { overflow: 'visible' });
  chart.append(paths.labels);
  const items = ['up', 'suspect', 'down', 'misconfigured', 'read-only'].map(name => {
    const mark = make('svg', { 'aria-hidden': 'true', viewBox: '0 0 18 12' });
    mark.append(make('rect', { width: 18, height: 12, rx: 2, class: `k-${name}` }));
    if ($(`h-${name}`)) mark.append(make('rect', { width: 18, height: 12, rx: 2, fill: `url(#h-${name})` }));
    return [mark, name];
  });
  const dot = make('svg', { 'aria-hidden': 'true', viewBox: '0 0 18 12' });
  dot.append(make('path', { class: 'whisker', d: 'M9 0v8' }), make('path', { class: 'ok', d: 'M9 8h0' }));
  const cross = make('svg', { 'aria-hidden': 'true', viewBox: '0 0 18 12' });
  cross.append(make('path', { class: 'bad', d: 'M6 3l6 6m0-6l-6 6' }));
  items.push([dot, '/ping: median, up to the slowest'], [cross, '/ping failed']);
  $('legend').replaceChildren(...items.map(([mark, text]) => {
    const item = make('li');
    item.append(mark, text);
    return item;
  }));
  document.querySelector('.live-only').hidden = false;
}

/** The seconds with pings, `size` per point, so that points do not overlap. */
function points(all, size) {
  const groups = new Map();
  for (const second of all) {
    if (!second.pings) continue;
    const key = Math.floor(second.number / size);
    groups.has(key) ? groups.get(key).push(second) : groups.set(key, [second]);
  }
  return [...groups.values()].map(group => ({
    middle: (group[0].number + group.at(-1).number + 1) / 2,
    median: middle(group.map(second => second.median)),
    slowest: Math.max(...group.map(second => second.slowest)),
    failures: group.some(second => second.failures),
  }));
}
const middle = numbers => numbers.sort((a, b) => a - b)[numbers.length >> 1];

function draw() {
  if (!state || document.hidden) return;
  if (!paths.grid) prepareChart();
  const width = chart.clientWidth, height = chart.clientHeight;
  if (!width) return;
  const right = width - 4, floor = height - BOTTOM - STRIP - 4;
  // A young service gets a shorter timeline.
  const last = Math.floor(now() / 1000), span = SPANS.find(span => last < span) ?? WINDOW, first = last - span + 1;
  const x = number => LEFT + (number - first) / span * (right - LEFT);
  const all = series().filter(second => second.number >= first);
  setText('timeline-title', span === 60 ? 'The last minute' : `The last ${span / 60} minutes`);
  look.min = 1 - span;
  // The slider's thumb, 18 pixels wide, is below its second.
  const step = x(1) - x(0);
  look.style.marginLeft = `${LEFT + step / 2 - 9}px`;
  look.style.width = `${right - LEFT - step + 18}px`;
  // Logarithmic, from 0.1 ms to at least a second.
  const most = Math.max(1.2e6, ...all.map(second => second.slowest || 0));
  const y = us => floor - Math.log(Math.max(us, 100) / 100) / Math.log(most / 100) * (floor - TOP);

  const runs = {};
  let whiskers = '', good = '', bad = '', from = null;
  const close = to => {
    if (from) (runs[from.health] ??= []).push([x(from.number), Math.max(x(to), x(from.number) + 1.5)]);
  };
  for (const second of all) {
    if (!from || from.health !== second.health) {
      close(second.number);
      from = second;
    }
  }
  close(last + 1);
  for (const point of points(all, Math.ceil(2.6 / step))) {
    const at = x(point.middle), level = y(point.median);
    if (point.slowest > point.median * 1.2) whiskers += `M${at.toFixed(1)} ${level.toFixed(1)}V${y(point.slowest).toFixed(1)}`;
    if (point.failures) bad += `M${(at - 2.5).toFixed(1)} ${(level - 2.5).toFixed(1)}l5 5m0-5l-5 5`;
    else good += `M${at.toFixed(1)} ${level.toFixed(1)}h0`;
  }
  const boxes = (spans, top, bottom) => (spans ?? []).map(([a, b]) => `M${a.toFixed(1)} ${top}H${b.toFixed(1)}V${bottom}H${a.toFixed(1)}z`).join('');
  for (const name of names) {
    paths[`band-${name}`].setAttribute('d', boxes(runs[name], TOP, floor));
    const strip = boxes(runs[name], floor + 4, floor + 4 + STRIP);
    paths[`strip-${name}`].setAttribute('d', strip);
    paths[`hatch-${name}`]?.setAttribute('d', strip);
  }
  paths.whisker.setAttribute('d', whiskers);
  paths.ok.setAttribute('d', good);
  paths.ok.style.strokeWidth = Math.min(Math.max(step, 3), 6);
  paths.bad.setAttribute('d', bad);

  let grid = '';
  const labels = [];
  for (let us = 100; us <= most; us *= 10) {
    grid += `M${LEFT} ${y(us).toFixed(1)}H${right}`;
    labels.push(make('text', { x: LEFT - 6, y: y(us) + 4, 'text-anchor': 'end' }, us < 1e6 ? `${us / 1000} ms` : `${us / 1e6} s`));
  }
  for (let parts = width < 480 ? 3 : 5, part = parts; part >= 0; part--) {
    const ago = span / parts * part, at = x(last + 1 - ago);
    grid += `M${at.toFixed(1)} ${TOP}V${height - BOTTOM + 4}`;
    const anchor = part === parts ? 'start' : part === 0 ? 'end' : 'middle';
    const unit = part < parts && width < 480 ? '' : span > 120 ? ' min' : ' s';
    const text = ago ? `−${span > 120 ? ago / 60 : ago}${unit}` : isStale ? timeOfDay(state.now) : 'now';
    labels.push(make('text', { x: at, y: height - 5, 'text-anchor': anchor }, text));
  }
  paths.origin.setAttribute('d', first < 0 ? `M${x(0).toFixed(1)} ${TOP}V${height - BOTTOM}` : '');
  if (x(0) > LEFT + 110) labels.push(make('text', { x: x(0) - 6, y: TOP + 12, 'text-anchor': 'end' }, 'service started'));
  paths.grid.setAttribute('d', grid);
  paths.labels.replaceChildren(...labels);

  // The current second is incomplete: by default show the one before.
  const chosen = last + Math.min(Number(look.value), -1);
  const at = (x(chosen) + x(chosen + 1)) / 2;
  paths.cursor.setAttribute('d', Number(look.value) < 0 ? `M${at.toFixed(1)} 0V${height - BOTTOM}` : '');
  const text = describe(chosen, all.find(second => second.number === chosen));
  const [when, ...rest] = text.split(' · ');
  $('readout').replaceChildren(make('strong', {}, when), rest.join(' · '));
  look.setAttribute('aria-valuetext', text);
  if ($('as-table').open) showMinutes(all);
}

function describe(number, second) {
  if (!second) return 'before the service started';
  const pings = second.pings === 0 ? 'no pings'
    : `${count(second.pings, 'ping', 'pings')}, ${second.failures} failed · median ${latency(second.median)}, slowest ${latency(second.slowest)}`;
  return `${timeOfDay(number * 1000)} · ${second.health} · ${pings}`;
}

/** The timeline as a table, for screen readers and for copying. */
function showMinutes(all) {
  const rows = [];
  for (let end = all.length; end > 0; end -= 60) {
    const minute = all.slice(Math.max(0, end - 60), end);
    const sum = key => minute.reduce((total, second) => total + (second[key] || 0), 0);
    const spent = {};
    for (const { health } of minute) spent[health] = (spent[health] || 0) + 1;
    const healths = Object.keys(spent);
    const database = healths.length === 1 ? healths[0] : healths.map(name => `${name} ${spent[name]} s`).join(', ');
    const medians = minute.filter(second => second.pings).map(second => second.median);
    const pings = sum('pings');
    rows.push([
      timeOfDay(minute[0].number * 1000), database, pings, sum('failures'),
      pings ? latency(middle(medians)) : '–', pings ? latency(Math.max(...minute.map(second => second.slowest || 0))) : '–',
    ]);
  }
  $('minutes').replaceChildren(...rows.map(cells => {
    const row = make('tr');
    row.append(...cells.map((cell, index) => index ? make('td', {}, String(cell)) : make('th', { scope: 'row' }, cell)));
    return row;
  }));
}

look.addEventListener('input', draw);
$('as-table').addEventListener('toggle', draw);
for (const kind of ['pointermove', 'pointerdown']) {
  chart.addEventListener(kind, event => {
    const box = chart.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / (box.width - 4 - LEFT);
    look.value = Math.round((1 - Math.min(Math.max(share, 0), 1)) * look.min);
    draw();
  });
}
chart.addEventListener('pointerleave', () => { look.value = 0; draw(); });
new ResizeObserver(draw).observe(chart);
document.addEventListener('visibilitychange', draw);

// MARK: The connection

let source, isStale = false, wait = 1000, openedAt = 0;

/** A message for screen readers. */
function announce(text) { $('announce').textContent = text; }

function link(kind, text) {
  if (text === $('link-text').textContent) return;
  $('link').className = `link ${kind}`;
  setText('link-text', text);
}

/** The connection is lost: keep the data and mark it as old. */
function connectionLost() {
  if (isStale) return;
  if (state) state = { ...state, now: now(), wall: state.wall + now() - state.now };
  isStale = true;
  document.documentElement.classList.add('stale');
  link('lost', state ? `connection lost, retrying – data from ${timeOfDay(state.now)}` : 'no connection, retrying');
  announce('The connection to the service is lost. The data may be old.');
  draw();
}

function receive(event, isSnapshot) {
  const wasStale = isStale;
  isStale = false;
  wait = 1000;
  document.documentElement.classList.remove('stale');
  link('live', 'live');
  if (wasStale) announce('The connection to the service is back.');
  apply(JSON.parse(event.data), isSnapshot);
}

function open() {
  source?.cconnectionLost();
  openedAt = performance.now();
  source = new EventSource('events');
  source.addEventListener('snapshot', event => receive(event, true));
  source.addEventListener('tick', event => receive(event, false));
  source.addEventListener('error', () => {
    connectionLost();
    // The browser retries by itself unless the request was rejected.
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(open, wait * (0.5 + Math.random()));
    wait = Math.min(wait * 2, 15000);
  });
}

setInterval(() => {
  tick();
  const silence = performance.now() - Math.max(receivedAt, openedAt);
  if (silence > STALE_AFTER && state) connectionLost();
  // Half-open: the browser sees a connection, but no data arrives.
  if (silence > REOPEN_AFTER && source.readyState !== EventSource.CLOSED) open();
}, 100);
addEventListener('pagehide', () => source.close());
addEventListener('pageshow', event => { if (event.persisted) open(); });
open();
