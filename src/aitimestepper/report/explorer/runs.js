// The data of the page: columns of runs, which row is at a time, and positions between rows.

function unpack(text, Kind) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) bytes[k] = raw.charCodeAt(k);
  return new Kind(bytes.buffer);
}

/** The number of values in ascending `list` that are at most `x`. */
function countUpTo(list, x) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= x) low = middle + 1; else high = middle;
  }
  return low;
}

/** One run: `data` of the page with its columns as arrays. */
class Run {
  constructor(data, index) {
    Object.assign(this, data, { index });
    for (const name of ['time', 'dt', 'error', 'steps', 'near']) this[name] = unpack(data[name], Float64Array);
    for (const name of ['row', 'drawn']) this[name] = unpack(data[name], Uint32Array);
    for (const name of ['position', 'velocity']) this[name] = unpack(data[name], Float32Array);
    const narrow = data.pair.length < 7 * this.time.length;  // 4 bytes a row in base64, or 8
    this.pair = unpack(data.pair, narrow ? Uint16Array : Uint32Array);
    this.n = this.bodies.length;
    this.drawnTime = Float64Array.from(this.drawn, (k) => this.time[k]);
    this.first = this.time[0];
    this.last = this.time[this.time.length - 1];
    this.spent = this.steps.map((s) => this.forces.before + this.forces.each * s);
    this.forces.known = this.forces.each > 0;
    this.paired = this.near.some(Number.isFinite);
    this.names = new Map(this.bodies.map(([number, name]) => [number, name]));
    this.here = new Float32Array(3 * this.n);
  }

  colour() { return pick(colours().runs, this.index); }
  dash() { return pick(DASHES, this.index); }
  name(number) { return this.names.get(number) ?? `body ${number}`; }

  /** The last kept row at or before time `t`. */
  rowAt(t) { return Math.max(0, countUpTo(this.time, t) - 1); }

  /** Positions of all bodies at time `t`, by the cubic through positions and velocities at both ends of an interval. */
  at(t, out = this.here) {
    const i = clamp(countUpTo(this.drawnTime, t) - 1, 0, Math.max(0, this.drawn.length - 2));
    return this.between(i, t, out);
  }

  /** Positions at time `t` between the drawn rows i and i + 1; straight where rows in between were dropped and a cubic would swing. */
  between(i, t, out) {
    const { position: x, velocity: v, n } = this, a = 3 * n * i, b = a + 3 * n;
    if (this.drawn.length < 2) { out.set(x.subarray(0, 3 * n)); return out; }
    const h = this.drawnTime[i + 1] - this.drawnTime[i], s = h > 0 ? clamp((t - this.drawnTime[i]) / h, 0, 1) : 1;
    const g = h * this.speed / this.scale, dropped = h > 1.5 * Math.max(this.dt[this.drawn[i]], this.dt[this.drawn[i + 1]]);
    for (let k = 0; k < 3 * n; k += 3) {
      let chord = 0, reach0 = 0, reach1 = 0;
      for (let d = k; d < k + 3; d++) {
        chord += (x[b + d] - x[a + d]) ** 2;
        reach0 += (g * v[a + d]) ** 2;
        reach1 += (g * v[b + d]) ** 2;
      }
      const straight = dropped && Math.max(reach0, reach1) > 16 * chord;
      for (let d = k; d < k + 3; d++) {
        const c = x[b + d] - x[a + d];
        const bend = straight ? 0 : s * (1 - s) * ((1 - s) * (g * v[a + d] - c) - s * (g * v[b + d] - c));
        out[d] = s === 1 ? x[b + d] : x[a + d] + s * c + bend;
      }
    }
    return out;
  }

  /** Position of the k-th body in the units of the run, (3,). */
  place(k, here = this.here) {
    return [0, 1, 2].slice(0, this.axes).map((d) => here[3 * k + d] * this.scale + this.centre[d]);
  }

  /** Encounters and events along time, to be marked and jumped to. */
  marks() {
    const met = (a, b) => `${this.name(a)} and ${this.name(b)}`;
    const found = this.encounters.map(([time, distance, a, b, row]) => ({ time, distance, kind: 'encounter at a row', text: met(a, b), row }));
    if (this.approach) {
      const [time, distance, a, b] = this.approach;
      found.push({ time, distance, kind: 'closest approach', text: `${met(a, b)}, located between rows`, row: null });
    }
    for (const { time, kind, bodies, text } of this.events) {
      found.push({ time, distance: null, kind, text: [bodies.map((k) => this.name(k)).join(', '), text].filter(Boolean).join(': '), row: null });
    }
    return found.map((mark) => ({ ...mark, run: this })).sort((a, b) => a.time - b.time);
  }
}

/** A training along its epochs, with what a chart needs of a run. */
class Course {
  constructor(data, index) {
    Object.assign(this, data, { index });
    this.time = Float64Array.from(data.epochs);
    this.first = this.time[0];
    this.last = this.time[this.time.length - 1];
    for (const metric of this.metrics) metric.values = Float64Array.from(metric.values, (v) => v ?? NaN);
  }

  colour() { return pick(colours().runs, this.index); }
  dash() { return pick(DASHES, this.index); }
  metric(name) { return this.metrics.find((m) => m.name === name); }
  rowAt(t) { return Math.max(0, countUpTo(this.time, t) - 1); }
}

/** Let runs that take place in about the same region share one view, so that side by side they have one scale. */
function shareView(runs) {
  const balls = runs.map(({ view, scale, centre }) => [...centre.map((x, d) => x + scale * view[d]), scale * view[3]]);
  const middle = [0, 1, 2].map((d) => balls.reduce((sum, ball) => sum + ball[d], 0) / balls.length);
  const reach = balls.map((ball) => Math.hypot(...middle.map((x, d) => x - ball[d])) + ball[3]);
  const radius = Math.max(...reach);
  if (!(radius < 2 * Math.min(...balls.map((ball) => ball[3])))) return;
  for (const run of runs) run.view = [...middle.map((x, d) => (x - run.centre[d]) / run.scale), radius / run.scale];
}

/** The common coordinate of all runs: their time, or the share of each run. */
class Axis {
  constructor(runs, mode) {
    Object.assign(this, { runs, mode });
    this.low = mode === 'time' ? Math.min(...runs.map((r) => r.first)) : 0;
    this.high = mode === 'time' ? Math.max(...runs.map((r) => r.last)) : 1;
    if (!(this.high > this.low)) this.high = this.low + 1;
    this.show(this.low, this.high);
  }

  /** Let charts show the coordinates from ... to, within the whole. */
  show(from, to) {
    if (!(to - from < this.high - this.low)) [from, to] = [this.low, this.high];
    const width = clamp(to - from, 1e-7 * (this.high - this.low), this.high - this.low);
    this.from = clamp(from, this.low, this.high - width);
    this.to = Math.min(this.high, this.from + width);
  }

  /** Coordinate of a time of a run, and the time of a coordinate. */
  of(run, time) { return this.mode === 'time' ? time : run.last > run.first ? (time - run.first) / (run.last - run.first) : 0; }
  time(run, c) { return this.mode === 'time' ? c : run.first + c * (run.last - run.first); }

  /** The last kept row of a run at or before a coordinate; by coordinates, so that a jump to a row arrives at that row. */
  row(run, c) {
    let i = run.rowAt(this.time(run, c));
    while (i + 1 < run.time.length && this.of(run, run.time[i + 1]) <= c) i++;
    while (i > 0 && this.of(run, run.time[i]) > c) i--;
    return i;
  }

  /** The coordinate of the next kept row of any run after `c` (direction 1), or of the one before (-1). */
  neighbour(c, direction) {
    let best = direction > 0 ? this.high : this.low;
    for (const run of this.runs) {
      let i = this.row(run, c);
      if (direction < 0) while (i > 0 && this.of(run, run.time[i]) >= c) i--;
      if (direction > 0) while (i < run.time.length - 1 && this.of(run, run.time[i]) <= c) i++;
      const there = this.of(run, run.time[i]);
      if (direction > 0 ? there > c : there < c) best = direction > 0 ? Math.min(best, there) : Math.max(best, there);
    }
    return best;
  }
}
