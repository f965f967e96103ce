// The dashboard: asks /api/all every two seconds, keeps a quarter of an hour of history in the page, and shows it. Nothing is stored anywhere else.
// Everything that comes from the server is put in as text, never as HTML: keys are bytes that clients chose.
import { html, render, useState, useEffect, useRef } from "/vendor/htm-preact-standalone.module.js";

const INTERVAL_MS = 2000;
const POINTS_MAX = 450;
const LATENCY_WINDOW = 5; // Answers whose latencies are put together: ten seconds.
const MOVED_MS = 4000;

// ---- numbers as people read them ----------------------------------------------------------------------------------------------

const isNumber = value => typeof value === "number" && isFinite(value);

function count(value) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return (value / 1e9).toFixed(2) + " G";
  if (size >= 1e6) return (value / 1e6).toFixed(2) + " M";
  if (size >= 1e4) return (value / 1e3).toFixed(1) + " k";
  return size >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

function bytes(value) {
  if (!isNumber(value)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) { value /= 1024; unit++; }
  return (unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)) + " " + units[unit];
}

function micros(value) {
  if (!isNumber(value)) return "–";
  if (value >= 1e6) return (value / 1e6).toFixed(2) + " s";
  if (value >= 1000) return (value / 1000).toFixed(value >= 1e4 ? 1 : 2) + " ms";
  return value.toFixed(value >= 10 ? 0 : 1) + " µs";
}

function seconds(value) {
  if (!isNumber(value)) return "–";
  if (value < 120) return Math.round(value) + " s";
  if (value < 7200) return Math.round(value / 60) + " min";
  if (value < 172800) return (value / 3600).toFixed(1) + " h";
  return (value / 86400).toFixed(1) + " d";
}

const percent = value => isNumber(value) ? (value * 100).toFixed(value >= 0.9995 || value === 0 ? 0 : 1) + " %" : "–";

// ---- what is made of two answers ----------------------------------------------------------------------------------------------

const rate = (now, before, dt) => isNumber(now) && isNumber(before) && now >= before ? (now - before) / dt : null;

/** The sum over the silos that are in both answers, so that one that comes or goes makes no spike. */
function clusterRate(now, before, dt, ...names) {
  let sum = null;
  for (const silo of now.silos.silos) {
    const former = before.silos.silos.find(other => other.silo === silo.silo);
    if (!silo.values || !former || !former.values) continue;
    for (const name of names) {
      const one = rate(silo.values[name], former.values[name], dt);
      if (one !== null) sum = (sum ?? 0) + one;
    }
  }
  return sum;
}

/** Counts by upper bound, of the commands between two answers. */
function bucketsBetween(now, before, wanted) {
  const sum = new Map();
  for (const command of now.commands.commands) {
    if (wanted && !wanted(command)) continue;
    const former = before && before.commands.commands.find(other => other.command === command.command && other.outcome === command.outcome);
    const past = new Map(former ? former.buckets : []);
    for (const [upper, number] of command.buckets) {
      const more = number - (past.get(upper) ?? 0);
      if (more > 0) sum.set(upper, (sum.get(upper) ?? 0) + more);
    }
  }
  return [...sum.entries()].sort((a, b) => a[0] - b[0]);
}

function quantile(buckets, share) {
  const total = buckets.reduce((sum, bucket) => sum + bucket[1], 0);
  if (total === 0) return null;
  let seen = 0;
  for (const [upper, number] of buckets) {
    seen += number;
    if (seen >= share * total) return upper;
  }
  return buckets[buckets.length - 1][0];
}

function point(now, before, older) {
  const dt = now.status.time - before.status.time;
  if (!(dt > 0)) return null;
  const hits = clusterRate(now, before, dt, "get_hits");
  const misses = clusterRate(now, before, dt, "get_misses");
  const latencies = bucketsBetween(now, older);
  const values = now.status.cluster ? now.status.cluster.values : now.status.values;
  return {
    time: now.status.time,
    operations: clusterRate(now, before, dt, "operations"),
    hitRatio: hits !== null && misses !== null && hits + misses > 0 ? hits / (hits + misses) : null,
    p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99), p999: quantile(latencies, 0.999),
    evictedRoom: clusterRate(now, before, dt, "lost_evicted"),
    evictedPages: clusterRate(now, before, dt, "lost_page_moved"),
    evictedLimit: clusterRate(now, before, dt, "lost_memory_limit"),
    expired: clusterRate(now, before, dt, "lost_expired"),
    memory: values.bytes, used: values.page_bytes_used, limit: values.limit_maxbytes,
    connections: values.curr_connections,
    received: clusterRate(now, before, dt, "bytes_read"), sent: clusterRate(now, before, dt, "bytes_written"),
  };
}

// ---- colours ------------------------------------------------------------------------------------------------------------------

const COLORS = ["#2f6fde", "#e07b1a", "#1f9d6b", "#b6409c", "#8a6d00", "#5b50d6", "#0f93a8", "#c43d3d"];
const DARK_COLORS = ["#6aa2ff", "#f2a253", "#4cc38a", "#e07fca", "#d6b83e", "#9d95ff", "#45c4d8", "#ff8a80"];
const darkQuery = matchMedia("(prefers-color-scheme: dark)");
const color = index => {
  const list = darkQuery.matches ? DARK_COLORS : COLORS;
  return index < list.length ? list[index] : `hsl(${(index * 137.5) % 360} 55% ${darkQuery.matches ? 65 : 45}%)`;
};

// ---- charts -------------------------------------------------------------------------------------------------------------------

function Chart({ title, note, history, lines, format, max, least }) {
  const place = useRef(null);
  const plot = useRef(null);
  const [dark, setDark] = useState(darkQuery.matches);

  useEffect(() => {
    const changed = () => setDark(darkQuery.matches);
    darkQuery.addEventListener("change", changed);
    return () => darkQuery.removeEventListener("change", changed);
  }, []);

  useEffect(() => {
    const style = getComputedStyle(document.documentElement);
    const soft = style.getPropertyValue("--soft"), grid = style.getPropertyValue("--line");
    const probe = document.createElement("i");
    document.body.append(probe);
    const resolve = value => { probe.style.color = value; return getComputedStyle(probe).color; };
    const axis = { stroke: resolve(soft), grid: { stroke: resolve(grid), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    plot.current = new uPlot({
      width: place.current.clientWidth || 300, height: 150, padding: [8, 8, 0, 0],
      cursor: { y: false, points: { size: 6 } }, legend: { show: false },
      scales: {
        x: { time: true, range: (_, low, high) => isNumber(high) ? [Math.min(low, high - 60), high] : [Date.now() / 1000 - 60, Date.now() / 1000] },
        y: { range: (_, low, high) => [0, max ?? Math.max((high || 0) * 1.1, least)] },
      },
      axes: [
        { ...axis, size: 26, space: 70, values: [[60, "{HH}:{mm}", null, null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]] },
        { ...axis, size: 62, space: 32, values: (_, ticks) => ticks.map(format) },
      ],
      series: [{}, ...lines.map((line, index) => ({ stroke: color(index), width: 1.6, points: { show: false }, spanGaps: false,
        fill: lines.length === 1 ? color(index) + "22" : undefined }))],
    }, data(), place.current);
    probe.remove();
    const observer = new ResizeObserver(() => plot.current && plot.current.setSize({ width: place.current.clientWidth, height: 150 }));
    observer.observe(place.current);
    return () => { observer.disconnect(); plot.current.destroy(); plot.current = null; };
  }, [dark]);

  useEffect(() => { if (plot.current) plot.current.setData(data()); });

  function data() {
    return [history.map(p => p.time), ...lines.map(line => history.map(p => p[line.name] ?? null))];
  }

  const last = history[history.length - 1];
  return html`<section class="card">
    <h2>${title}<span class="soft">${note}</span></h2>
    <div class="keys">${lines.map((line, index) => html`<span><i class="dot" style=${{ background: color(index) }}></i>${line.label} <b>${last ? format(last[line.name] ?? NaN) : "–"}</b></span>`)}</div>
    <div class="chart" ref=${place}></div>
  </section>`;
}

// ---- parts --------------------------------------------------------------------------------------------------------------------

const Meter = ({ share }) => html`<span class="meter"><i style=${{ width: Math.max(0, Math.min(100, (share || 0) * 100)) + "%" }}></i></span>`;

const Tile = ({ label, value, more, kind }) => html`<div class="tile"><div class="label">${label}</div><div class=${"value " + (kind ?? "")}>${value}</div><div class="more">${more ?? "\u00a0"}</div></div>`;

function Warnings({ list }) {
  const kinds = { critical: "bad", warning: "warn", info: "soft" };
  return html`<section class="card wide" id="warnings"><h2>Warnings<span class="soft">${list.length === 0 ? "none" : list.length}</span></h2>
    ${list.map(one => html`<div class="warning" key=${one.id + one.subject}><span class=${"badge " + (kinds[one.severity] ?? "")}>${one.severity}</span><span>${one.text}</span><span class="advice">${one.advice}</span></div>`)}
  </section>`;
}

function Partitions({ now, moved, colors }) {
  const moving = new Map(now.partitions.moves.map(move => [move.partition, move]));
  const { silos, owners } = now.partitions;
  const counts = silos.map((_, index) => owners.filter(owner => owner === index).length);
  const without = owners.filter(owner => owner < 0).length;
  const title = partition => {
    const owner = owners[partition] < 0 ? "no owner" : silos[owners[partition]];
    const move = moving.get(partition);
    return `partition ${partition}: ${owner}` + (move ? `, moves from ${move.from ?? "?"} to ${move.to ?? "?"}` : "");
  };
  return html`<section class="card wide" id="partitions">
    <h2>Partitions<span class="soft">${now.partitions.count}; ${moving.size === 0 ? "none moves" : `${moving.size} moving`}${
        now.partitions.partitionsToMove > 0 ? `, ${now.partitions.partitionsToMove} to go` : ""}${now.partitions.movesPaused ? ", paused" : ""};
      ${" "}${count(now.partitions.movesCommitted)} moved so far${now.partitions.movesFailed > 0 ? `, ${now.partitions.movesFailed} failed` : ""}</span></h2>
    <div class="map">${owners.map((owner, partition) => html`<i key=${partition} title=${title(partition)}
      class=${(owner < 0 ? "none " : "") + (moving.has(partition) ? "moving" : moved.has(partition) ? "moved" : "")}
      style=${{ background: owner < 0 ? "" : colors(silos[owner]) }}></i>`)}</div>
    <div class="legend">${silos.map((silo, index) => html`<span key=${silo}><i class="dot" style=${{ background: colors(silo) }}></i>${silo} <b>${counts[index]}</b></span>`)}
      ${without > 0 && html`<span class="bad">without owner <b>${without}</b></span>`}</div>
  </section>`;
}

function Silos({ now, before, colors }) {
  const dt = before ? now.status.time - before.status.time : 0;
  return html`<section class="card wide" id="silos"><h2>Silos<span class="soft">of the whole cluster</span></h2><div class="scroll"><table>
    <thead><tr><th>silo</th><th>state</th><th>partitions</th><th>operations/s</th><th>hit ratio</th><th>items</th><th>memory</th><th class="optional">evictions/s</th><th class="optional">connections</th><th class="optional">up</th></tr></thead>
    <tbody>${now.silos.silos.map(silo => {
      const former = before && before.silos.silos.find(other => other.silo === silo.silo);
      const v = silo.values, f = former && former.values;
      const per = name => v && f ? rate(v[name], f[name], dt) : null;
      const hits = per("get_hits"), misses = per("get_misses");
      const ratio = hits !== null && misses !== null && hits + misses > 0 ? hits / (hits + misses) : silo.hitRatio;
      return html`<tr key=${silo.silo}><td><i class="dot" style=${{ background: colors(silo.silo) }}></i>${silo.silo}${silo.isThis ? html` <span class="soft">(asked)</span>` : ""}</td>
        <td class=${silo.state === "up" ? "good" : "bad"}>${silo.state === "up" ? "up" : "no answer"}</td><td>${silo.partitions}</td><td>${count(per("operations"))}</td><td>${percent(ratio)}</td><td>${count(v?.curr_items)}</td>
        <td><${Meter} share=${v ? v.page_bytes_used / v.limit_maxbytes : 0} />${v ? `${bytes(v.page_bytes_used)} of ${bytes(v.limit_maxbytes)}` : "–"}</td>
        <td class="optional">${count(per("evictions"))}</td><td class="optional">${count(v?.curr_connections)}</td><td class="optional">${seconds(v?.uptime)}</td></tr>`;
    })}</tbody></table></div></section>`;
}

function Classes({ now, older }) {
  const memory = now.memory;
  const dt = older ? now.status.time - older.status.time : 0;
  return html`<section class="card wide" id="memory"><h2>Memory by class<span class="soft">this process: ${bytes(memory.pageBytesUsed)} of ${bytes(memory.limitBytes)} in pages,
    of which ${percent(memory.pageBytesUsed > 0 ? memory.itemBytes / memory.pageBytesUsed : null)} are items, ${bytes(memory.indexBytes)} index, ${bytes(memory.ghostBytes)} memory of evicted keys</span></h2>
    ${memory.classes.length === 0 ? html`<p class="soft">Nothing is stored here.</p>` : html`<div class="scroll"><table>
    <thead><tr><th>class</th><th>chunk</th><th>share of memory</th><th>of use</th><th>items</th><th class="optional">hits/s</th><th class="optional">stores/s</th><th>evicts/s</th><th title="since the last use of the item that was evicted last">evicted after</th><th class="optional" title="since the last use of the coldest item">coldest</th></tr></thead>
    <tbody>${memory.classes.map(one => {
      const former = older && older.memory.classes.find(other => other.class === one.class);
      const per = name => former ? rate(one[name], former[name], dt) : null;
      const evicts = per("evicted");
      return html`<tr key=${one.class}><td>${one.class}</td><td>${bytes(one.chunkBytes)}</td>
        <td><${Meter} share=${one.pages * memory.pageBytes / memory.limitBytes} />${percent(one.pages * memory.pageBytes / memory.limitBytes)}</td>
        <td><${Meter} share=${one.usefulRatio} />${percent(one.usefulRatio)}</td>
        <td>${count(one.items)}</td><td class="optional">${count(per("hits"))}</td><td class="optional">${count(per("sets"))}</td>
        <td>${count(evicts)}</td><td class=${evicts > 0 && one.evictedAgeSeconds < 300 ? "warn" : ""}>${seconds(one.evictedAgeSeconds)}</td><td class="optional">${seconds(one.ageSeconds)}</td></tr>`;
    })}</tbody></table></div>`}</section>`;
}

function Commands({ now, older }) {
  const dt = older ? now.status.time - older.status.time : 0;
  const rows = now.commands.commands.map(one => {
    const same = other => other.command === one.command && other.outcome === one.outcome;
    const former = older && older.commands.commands.find(same);
    const buckets = bucketsBetween(now, older, same);
    return { one, perSecond: older ? (one.count - (former ? former.count : 0)) / dt : null, buckets: buckets.length > 0 ? buckets : one.buckets };
  });
  return html`<section class="card half" id="commands"><h2>Commands<span class="soft">this gateway, the last seconds</span></h2>
    ${rows.length === 0 ? html`<p class="soft">No command has come yet.</p>` : html`<div class="scroll"><table>
    <thead><tr><th>command</th><th class="left">outcome</th><th>per second</th><th>p50</th><th>p99</th><th class="optional">p99.9</th><th class="optional">in all</th></tr></thead>
    <tbody>${rows.map(row => html`<tr key=${row.one.command + row.one.outcome}><td>${row.one.command}</td><td class=${"left " + (row.one.outcome === "error" ? "bad" : "")}>${row.one.outcome}</td>
      <td>${count(row.perSecond)}</td><td>${micros(quantile(row.buckets, 0.5))}</td><td>${micros(quantile(row.buckets, 0.99))}</td><td class="optional">${micros(quantile(row.buckets, 0.999))}</td><td class="optional">${count(row.one.count)}</td></tr>`)}</tbody></table></div>`}</section>`;
}

function Lost({ now }) {
  const names = { replaced: "replaced by a newer value", deleted: "deleted", expired: "expired", evicted: "evicted for room", pageMoved: "evicted with a page that moved",
    memoryLimit: "evicted because the limit fell", flushed: "flushed", closed: "left with their partition" };
  const all = Object.values(now.memory.lost).reduce((sum, value) => sum + value, 0);
  return html`<section class="card half" id="lost"><h2>What became of items<span class="soft">this process; ${count(now.memory.items)} are present</span></h2><div class="scroll"><table>
    <tbody>${Object.entries(now.memory.lost).map(([name, value]) => html`<tr key=${name}><td>${names[name] ?? name}</td><td><${Meter} share=${all > 0 ? value / all : 0} />${count(value)}</td></tr>`)}
      <tr><td class="soft">evicted and never read</td><td class="soft">${count(now.memory.evictedUnfetched)}</td></tr></tbody></table></div></section>`;
}

function Keys({ now }) {
  const { hot, large, sampledOneIn } = now.keys;
  return html`<section class="card half" id="hot"><h2>Hot keys<span class="soft">one request in ${sampledOneIn} of this gateway</span></h2>
      ${hot.length === 0 ? html`<p class="soft">None sampled yet.</p>` : html`<div class="scroll"><table><thead><tr><th>key</th><th>share</th></tr></thead>
      <tbody>${hot.slice(0, 10).map(one => html`<tr key=${one.key}><td class="key">${one.key}</td><td><${Meter} share=${one.share} />${percent(one.share)}</td></tr>`)}</tbody></table></div>`}</section>
    <section class="card half" id="large"><h2>Large values<span class="soft">stored through this gateway in the last minutes, 16 KiB or more</span></h2>
      ${large.length === 0 ? html`<p class="soft">None.</p>` : html`<div class="scroll"><table><thead><tr><th>key</th><th>bytes</th></tr></thead>
      <tbody>${large.slice(0, 10).map(one => html`<tr key=${one.key}><td class="key">${one.key}</td><td>${bytes(one.valueBytes)}</td></tr>`)}</tbody></table></div>`}</section>`;
}

function Connections({ now }) {
  const c = now.connections;
  const hosts = new Map();
  for (const one of c.connections) {
    const host = one.address.replace(/:\d+$/, "");
    const known = hosts.get(host) ?? { number: 0, waiting: 0, idle: Infinity };
    hosts.set(host, { number: known.number + 1, waiting: known.waiting + (one.state === "wait" ? 1 : 0), idle: Math.min(known.idle, one.idleSeconds) });
  }
  return html`<section class="card wide" id="connections"><h2>Connections<span class="soft">this gateway: ${c.current} of ${c.max} open, ${count(c.total)} so far, ${count(c.rejected)} turned away${c.accepting ? "" : "; none is accepted"}</span></h2>
    <div class="scroll"><table><thead><tr><th>from</th><th>connections</th><th>waiting</th><th>last bytes</th></tr></thead>
    <tbody>${[...hosts].sort((a, b) => b[1].number - a[1].number).slice(0, 12).map(([host, one]) => html`<tr key=${host}><td>${host}</td><td>${one.number}</td><td>${one.waiting}</td><td>${seconds(one.idle)} ago</td></tr>`)}
      ${c.more > 0 && html`<tr><td class="soft">others</td><td class="soft">${c.more}</td><td></td><td></td></tr>`}</tbody></table></div></section>`;
}

// ---- the page -----------------------------------------------------------------------------------------------------------------

function Page() {
  const [state, setState] = useState({ answers: [], history: [], moved: new Map(), failure: null });
  const [paused, setPaused] = useState(false);
  const order = useRef([]);
  const colors = silo => {
    if (!order.current.includes(silo)) order.current.push(silo);
    return color(order.current.indexOf(silo));
  };

  useEffect(() => {
    if (paused) return;
    let timer = null, stopped = false;
    const abort = new AbortController();

    async function ask() {
      try {
        const response = await fetch("/api/all", { signal: AbortSignal.any([abort.signal, AbortSignal.timeout(10_000)]), cache: "no-store" });
        if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
        const answer = await response.json();
        if (!stopped) setState(former => add(former, answer));
      } catch (error) {
        if (!stopped) setState(former => ({ ...former, failure: `No answer from ${location.host}: ${error.message}` }));
      }
      if (!stopped) timer = setTimeout(ask, INTERVAL_MS);
    }

    function onVisible() {
      // A page that nobody looks at asks nothing.
      clearTimeout(timer);
      if (!document.hidden) ask();
    }

    document.addEventListener("visibilitychange", onVisible);
    ask();
    return () => { stopped = true; abort.abort(); clearTimeout(timer); document.removeEventListener("visibilitychange", onVisible); };
  }, [paused]);

  const now = state.answers[state.answers.length - 1];
  if (!now) return html`<p class="loading">${state.failure ?? "Loading…"}</p>`;
  const before = state.answers[state.answers.length - 2];
  const older = state.answers.length > 1 ? state.answers[0] : null;
  const last = state.history[state.history.length - 1];
  const { status } = now;
  const whole = status.cluster?.values ?? status.values;
  const isAlone = status.role === "single";
  for (const silo of now.silos.silos) colors(silo.silo);
  return html`<header><h1>OrleansCache</h1><span class=${"badge " + (status.ready ? "good" : "warn")}>${status.ready ? "ready" : "not ready"}</span>
      <span class="soft">${status.version}; ${status.role === "single" ? "single node" : status.role}${status.silo ? ` ${status.silo}` : ""}; clients at ${status.gateway ?? "–"}; up ${seconds(status.uptimeSeconds)}</span>
      <span class="spacer"></span><button onClick=${() => setPaused(!paused)}>${paused ? "Go on" : "Pause"}</button></header>
    <main>
      ${state.failure && html`<div class="failure">${state.failure}</div>`}
      <div class="tiles">
        <${Tile} label="Operations" value=${count(last?.operations) + "/s"} more=${`${count(whole.operations)} so far`} />
        <${Tile} label="Hit ratio" value=${percent(last?.hitRatio ?? status.cluster?.hitRatio)} more=${`${percent(status.cluster?.hitRatio)} since the start`} />
        <${Tile} label="Latency, p99" value=${micros(last?.p99)} more=${`p50 ${micros(last?.p50)}, this gateway`} />
        <${Tile} label="Items" value=${count(whole.curr_items)} more=${`${bytes(whole.bytes)}`} />
        <${Tile} label="Memory" value=${percent(whole.page_bytes_used / whole.limit_maxbytes)} more=${`of ${bytes(whole.limit_maxbytes)}`} />
        <${Tile} label="Evictions" value=${count(last ? (last.evictedRoom ?? 0) + (last.evictedPages ?? 0) + (last.evictedLimit ?? 0) : null) + "/s"} more=${`${count(whole.evictions)} so far`} />
        <${Tile} label="Connections" value=${count(whole.curr_connections)} more=${`of ${count(whole.max_connections)}`} />
        ${!isAlone && html`<${Tile} label="Silos" value=${status.cluster ? `${status.cluster.silosAnswering} of ${status.cluster.silos}` : "–"}
          kind=${status.cluster && status.cluster.silosAnswering < status.cluster.silos ? "bad" : ""} more=${`${now.partitions.count} partitions`} />`}
      </div>
      <${Warnings} list=${now.warnings.warnings} />
      <${Chart} title="Operations per second" note="all silos" history=${state.history} format=${count} least=${10} lines=${[{ name: "operations", label: "operations" }]} />
      <${Chart} title="Hit ratio" note="all silos" history=${state.history} format=${percent} max=${1} least=${1} lines=${[{ name: "hitRatio", label: "hits" }]} />
      <${Chart} title="Latency" note="this gateway, 10 s" history=${state.history} format=${micros} least=${10} lines=${[{ name: "p50", label: "p50" }, { name: "p99", label: "p99" }, { name: "p999", label: "p99.9" }]} />
      <${Chart} title="Items lost per second" note="all silos" history=${state.history} format=${count} least=${1}
        lines=${[{ name: "evictedRoom", label: "room" }, { name: "evictedPages", label: "page moved" }, { name: "evictedLimit", label: "limit" }, { name: "expired", label: "expired" }]} />
      <${Chart} title="Memory" note="all silos" history=${state.history} format=${bytes} least=${1024} lines=${[{ name: "memory", label: "items" }, { name: "used", label: "pages" }, { name: "limit", label: "limit" }]} />
      <${Chart} title="Bytes per second" note="all silos" history=${state.history} format=${bytes} least=${1024} lines=${[{ name: "received", label: "received" }, { name: "sent", label: "sent" }]} />
      <${Partitions} now=${now} moved=${state.moved} colors=${colors} />
      <${Silos} now=${now} before=${before} colors=${colors} />
      <${Classes} now=${now} older=${older} />
      <${Commands} now=${now} older=${older} />
      <${Lost} now=${now} />
      <${Keys} now=${now} />
      <${Connections} now=${now} />
    </main>
    <footer>This page asks every 2 s while it is visible and keeps 15 minutes of history; Prometheus keeps more: <a href="/metrics">/metrics</a>. JSON: <a href="/api/all">/api/all</a>.</footer>`;
}

function add(former, answer) {
  const before = former.answers[former.answers.length - 1];
  const isSame = before && before.status.pid === answer.status.pid && answer.status.time >= before.status.time;
  const answers = [...(isSame ? former.answers : []), answer].slice(-(LATENCY_WINDOW + 1));
  const next = isSame ? point(answer, before, answers[0]) : null;
  const history = next ? [...former.history, next].slice(-POINTS_MAX) : former.history;
  const moved = new Map([...former.moved].filter(([, at]) => Date.now() - at < MOVED_MS));
  if (isSame && before.partitions.count === answer.partitions.count) {
    const ownerOf = (document, partition) => document.partitions.silos[document.partitions.owners[partition]];
    for (let partition = 0; partition < answer.partitions.count; partition++)
      if (ownerOf(before, partition) !== ownerOf(answer, partition)) moved.set(partition, Date.now());
  }
  return { answers, history, moved, failure: null };
}

const root = document.getElementById("root");
root.textContent = "";
render(html`<${Page} />`, root);
