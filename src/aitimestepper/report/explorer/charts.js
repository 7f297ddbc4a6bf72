// Charts along time: every pixel shows the smallest and the largest value in it, and a cursor is shared by all.

const EDGE = { left: 52, right: 10, top: 10, bottom: 20 };
const FLOOR = 1e-17;  // where an error of exactly zero is drawn

/** Round numbers between low and high, about `most` of them and `least` apart or more. */
function ticks(low, high, most, least = 0) {
  const raw = Math.max((high - low) / most, least), power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= raw), found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step && found.length < 50; k++) found.push(k * step);
  return found;
}

/** Values for the labels of a logarithmic axis between 10^low and 10^high: powers of ten, over few of them also 2 and 5. */
function powers(low, high, most) {
  const step = Math.max(1, Math.ceil((high - low) / most)), found = [];
  for (let k = Math.floor(low); k <= high; k++) {
    for (const m of high - low < 1.5 ? [1, 2, 5] : high - low < 2.2 ? [1, 3] : [1]) {
      const v = m * 10 ** k;
      if ((m > 1 || k % step === 0) && Math.log10(v) >= low && Math.log10(v) <= high) found.push(v);
    }
  }
  return found;
}

const superscript = (n) => String(n).replace('-', '⁻').replace(/\d/g, (d) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[d]);

/**
 * One quantity. `lines`: [{of, x, y, line}] with `of` the run or training that gives colour and dash, ascending x, and `line` a
 * horizontal level or null. `axis.of(of, x)` is the coordinate; `marks`: [{run, time}].
 */
class Chart {
  constructor(title, { lines, log, getAxis, read, seek, zoom, marks = [], levels = 'tolerance', x = 'time', lowest = 0 }) {
    Object.assign(this, { title, lines, log, getAxis, read, seek, zoom, marks, x, lowest, still: document.createElement('canvas') });
    this.canvas = make('canvas');
    this.canvas.setAttribute('role', 'img');
    this.now = make('span', { className: 'now' });
    const words = lines.some((l) => l.line) ? `${title} (dashes: ${levels})` : title;
    this.figure = make('figure', { className: 'chart' }, make('figcaption', {}, words, this.now), this.canvas);
    this.bounds = this.range();
    const go = (e) => this.seek(this.coordinate(e.offsetX));
    this.canvas.addEventListener('pointerdown', (e) => { this.canvas.setPointerCapture(e.pointerId); this.held = true; go(e); });
    this.canvas.addEventListener('pointermove', (e) => this.held && go(e));
    this.canvas.addEventListener('wheel', (e) => {
      if (!e.ctrlKey && !e.shiftKey) return;  // the wheel alone scrolls the page
      e.preventDefault();
      this.zoom(Math.exp(clamp(e.deltaY || e.deltaX, -240, 240) * 0.004), this.coordinate(e.offsetX));
    }, { passive: false });
    for (const kind of ['pointerup', 'pointercancel']) this.canvas.addEventListener(kind, () => { this.held = false; });
  }

  value(y) { return this.log ? Math.log10(Math.max(y, FLOOR)) : y; }

  /** The ends of the axis of values. A first dt of zero, at the start, is no step; the share `lowest` of the values may lie below the axis. */
  range() {
    const values = [];
    for (const { y, line } of this.lines) {
      for (const v of y) if (Number.isFinite(v) && (!this.log || v > 0)) values.push(this.value(v));
      if (line) values.push(this.value(line));
    }
    if (!values.length) return [this.log ? -1 : 0, this.log ? 0 : 1];
    values.sort((a, b) => a - b);
    let low = values[Math.floor(this.lowest * values.length)], high = values[values.length - 1];
    const least = this.log ? 0.6 : 0.02 * Math.abs(high) || 1;
    if (high - low < least) [low, high] = [(low + high - least) / 2, (low + high + least) / 2];
    const margin = 0.06 * (high - low);
    return [low - margin, high + margin];
  }

  coordinate(pixel) {
    const axis = this.getAxis(), width = this.canvas.getBoundingClientRect().width;
    return axis.from + clamp((pixel - EDGE.left) / (width - EDGE.left - EDGE.right), 0, 1) * (axis.to - axis.from);
  }

  draw(c) {
    const s = surface(this.canvas);
    if (!s) return;
    const { context: g, width, height, ratio } = s, axis = this.getAxis(), palette = colours();
    const key = [width, height, ratio, axis.from, axis.to, axis.mode, palette.card].join();
    const px = (u) => EDGE.left + (u - axis.from) / (axis.to - axis.from) * (width - EDGE.left - EDGE.right);
    if (this.stillKey !== key) {
      this.stillKey = key;
      this.still.width = Math.round(width * ratio);
      this.still.height = Math.round(height * ratio);
      const h = this.still.getContext('2d');
      h.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.drawStill(h, width, height, axis, px, palette);
    }
    g.clearRect(0, 0, width, height);
    g.drawImage(this.still, 0, 0, width, height);
    Object.assign(g, { strokeStyle: palette.ink, lineWidth: 1 });
    g.beginPath(); g.moveTo(px(c), EDGE.top - 4); g.lineTo(px(c), height - EDGE.bottom); g.stroke();
    const words = [];
    for (const { of, y } of this.lines) {
      const i = axis.row(of, c), v = y[i];
      words.push(this.read(of, i, v));
      if (Number.isFinite(v) && (!this.log || v > 0)) {
        const x = px(axis.of(of, of.time[i]));
        if (x < EDGE.left) continue;
        g.beginPath(); g.arc(x, this.py(v, height), 3.2, 0, 7);
        g.fillStyle = of.colour(); g.fill();
      }
    }
    this.now.textContent = words.length > 3 ? '' : words.join(' | ');
    this.canvas.setAttribute('aria-label', `${this.title} along ${this.x}, now ${words.join(', ')}`);
  }

  py(y, height) {
    const [low, high] = this.bounds;
    return height - EDGE.bottom - (this.value(y) - low) / (high - low) * (height - EDGE.bottom - EDGE.top);
  }

  drawStill(g, width, height, axis, px, palette) {
    const [low, high] = this.bounds, floor = height - EDGE.bottom;
    Object.assign(g, { font: '11px system-ui, sans-serif', fillStyle: palette.muted, strokeStyle: palette.line, lineWidth: 1 });
    g.textAlign = 'right';
    g.textBaseline = 'middle';
    const power = (v) => (Number.isInteger(Math.log10(v)) && (v < 1e-3 || v >= 1e5) ? '10' + superscript(Math.log10(v)) : brief(v, 3));
    const levels = this.log ? powers(low, high, 4).map((v) => [v, power(v)]) : ticks(low, high, 4).map((v) => [v, brief(v, 6)]);
    let last = Infinity;
    for (const [v, words] of levels) {
      const y = Math.round(this.py(v, height)) + 0.5;
      g.beginPath(); g.moveTo(EDGE.left, y); g.lineTo(width - EDGE.right, y); g.stroke();
      if (last - y >= 12) { g.fillText(words, EDGE.left - 5, y); last = y; }
    }
    g.textBaseline = 'top';
    const digits = 5 + Math.ceil(Math.log10(Math.max(1, Math.max(Math.abs(axis.from), Math.abs(axis.to)) / (axis.to - axis.from))));
    for (const u of ticks(axis.from, axis.to, Math.max(2, Math.floor(width / 90)), this.x === 'time' ? 0 : 1)) {
      g.textAlign = px(u) > width - 30 ? 'right' : 'center';
      g.fillText(brief(u, digits), Math.min(px(u), width - 2), floor + 5);
    }
    this.drawMarks(g, axis, px, palette);
    g.save();
    g.beginPath(); g.rect(EDGE.left, 0, width - EDGE.left - EDGE.right + 1, floor + 1); g.clip();
    for (const line of this.lines) this.drawLine(g, line, axis, px, width, height, palette);
    g.restore();
  }

  drawMarks(g, axis, px, palette) {
    for (const { run, time, kind } of this.marks) {
      const x = px(axis.of(run, time));
      if (x < EDGE.left - 1 || x > px(axis.to) + 1) continue;
      g.fillStyle = kind === 'encounter at a row' ? palette.muted : palette.ink;
      g.beginPath(); g.moveTo(x - 3, 1); g.lineTo(x + 3, 1); g.lineTo(x, 7); g.fill();
    }
  }

  drawLine(g, { of, y, line }, axis, px, width, height) {
    g.strokeStyle = of.colour();
    g.lineWidth = 1.4;
    g.setLineDash(of.dash());
    g.beginPath();
    const dense = of.time.length > 3 * width;
    let open = false, column = -1, low = 0, high = 0, last = 0;
    const close = () => { if (column >= 0) { g.lineTo(column, low); g.lineTo(column, high); g.lineTo(column, last); } };
    for (let i = 0; i < of.time.length; i++) {
      const v = y[i];
      if (!Number.isFinite(v) || (this.log && !(v > 0) && (i === 0 || i === of.time.length - 1))) { if (!dense) open = false; continue; }
      const x = px(axis.of(of, of.time[i])), p = this.py(v, height), pixel = Math.round(2 * x) / 2;
      if (!dense) { if (open) g.lineTo(x, p); else g.moveTo(x, p); open = true; continue; }
      if (pixel === column) { low = Math.min(low, p); high = Math.max(high, p); last = p; continue; }
      close();
      if (open) g.lineTo(pixel, p); else g.moveTo(pixel, p);
      open = true; column = pixel; low = high = last = p;
    }
    close();
    g.stroke();
    g.setLineDash([4, 4]);
    if (line) {
      const from = px(axis.of(of, of.time[0])), to = px(axis.of(of, of.time[of.time.length - 1])), p = this.py(line, height);
      g.beginPath(); g.moveTo(from, p); g.lineTo(to, p); g.lineWidth = 1.8; g.stroke();
    }
    g.setLineDash([]);
  }
}
