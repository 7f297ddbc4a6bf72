// The orbits of one run: a small projection from space, dots, and trails.

const VERTICES = 9000;  // of all trails in one picture
const WHOLE = 400000;  // of the paths of a whole run

class Camera {
  constructor(flat) { this.flat = flat; this.reset(); }
  reset() { Object.assign(this, { yaw: this.flat ? 0 : -0.5, tilt: this.flat ? Math.PI / 2 : 0.6, zoom: 1, x: 0, y: 0 }); }
  turn(dx, dy) { this.yaw += dx; this.tilt = clamp(this.tilt + dy, -Math.PI / 2, Math.PI / 2); }
  move(dx, dy) { this.x += dx; this.y += dy; }
  scale(factor, x = 0, y = 0) {  // about a point, in radii of the view
    const zoom = clamp(this.zoom * factor, 0.05, 1e6), f = zoom / this.zoom;
    Object.assign(this, { zoom, x: x + (this.x - x) * f, y: y + (this.y - y) * f });
  }
  key() { return [this.yaw, this.tilt, this.zoom, this.x, this.y].join(); }
}

class Scene {
  constructor(run, app) {
    Object.assign(this, { run, app, camera: new Camera(run.axes === 2), follow: -1, backdrop: document.createElement('canvas') });
    this.canvas = make('canvas', { tabIndex: 0 });
    this.canvas.setAttribute('role', 'img');
    const swatch = make('span', { className: 'dot' });
    this.dots = run.bodies.slice(0, 12).map(([, name]) => [make('span', { className: 'dot' }), name]);
    this.legend = make('div', { className: 'legend' }, ...this.dots.map(([dot, name]) => make('span', {}, dot, name)));
    const more = run.allBodies - this.dots.length;
    if (more > 0) this.legend.append(make('span', {}, `and ${count(more)} more${run.n < run.allBodies ? ` (the ${count(run.n)} heaviest are drawn)` : ''}`));
    this.swatch = swatch;
    this.figure = make('figure', { className: 'scene' }, make('figcaption', {}, swatch, run.label), this.canvas, this.legend);
    const heaviest = Math.max(...run.bodies.map(([, , mass]) => mass ?? 0)) || 1;
    const small = run.n > 60 ? 1.2 : 2.4;
    this.radii = run.bodies.map(([, , mass]) => small + (run.n > 60 ? 3 : 5.5) * Math.sqrt((mass ?? 0) / heaviest));
    this.pointers = new Map();
    this.listen();
  }

  listen() {
    const canvas = this.canvas, place = (e) => [e.offsetX, e.offsetY];
    canvas.addEventListener('pointerdown', (e) => { canvas.setPointerCapture(e.pointerId); this.pointers.set(e.pointerId, place(e)); });
    for (const kind of ['pointerup', 'pointercancel']) canvas.addEventListener(kind, (e) => this.pointers.delete(e.pointerId));
    canvas.addEventListener('pointermove', (e) => {
      const before = this.pointers.get(e.pointerId);
      if (!before) return;
      const now = place(e), others = [...this.pointers].filter(([id]) => id !== e.pointerId).map(([, p]) => p);
      const dx = now[0] - before[0], dy = now[1] - before[1], unit = this.unit();
      if (others.length) {
        const far = (p) => Math.hypot(p[0] - others[0][0], p[1] - others[0][1]);
        this.app.moveCameras((c) => { c.scale(clamp(far(now) / Math.max(far(before), 1), 0.5, 2)); c.move(dx / 2 / unit, -dy / 2 / unit); });
      } else if (e.shiftKey || this.camera.flat) this.app.moveCameras((c) => c.move(dx / unit, -dy / unit));
      else this.app.moveCameras((c) => (c.flat ? c.move(dx / unit, -dy / unit) : c.turn(dx * 0.008, dy * 0.008)));
      this.pointers.set(e.pointerId, now);
    });
    canvas.addEventListener('wheel', (e) => {
      e.preventDefault();
      const box = canvas.getBoundingClientRect(), unit = this.unit();
      const x = (e.offsetX - box.width / 2) / unit, y = (box.height / 2 - e.offsetY) / unit;
      this.app.moveCameras((c) => c.scale(Math.exp(-clamp(e.deltaY, -240, 240) * 0.002), x, y));
    }, { passive: false });
    canvas.addEventListener('dblclick', () => this.app.resetView());
    canvas.addEventListener('keydown', (e) => {
      const turns = { a: [-0.1, 0], d: [0.1, 0], w: [0, -0.1], s: [0, 0.1] }[e.key];
      if (turns) this.app.moveCameras((c) => (c.flat ? c.move(-turns[0], turns[1]) : c.turn(...turns)));
      else if (e.key === 'e' || e.key === 'q') this.app.moveCameras((c) => c.scale(e.key === 'e' ? 1.25 : 0.8));
      else return;
      e.preventDefault();
    });
  }

  /** Pixels of a radius of the view at zoom 1. */
  unit() {
    const box = this.canvas.getBoundingClientRect();
    return 0.46 * Math.min(box.width, box.height);
  }

  /** The function from a position and the one that is followed to pixels and depth. */
  projection(width, height) {
    const { camera, run } = this, [x0, y0, z0, radius] = run.view, follows = this.follow >= 0;
    const scale = 0.46 * Math.min(width, height) * camera.zoom / radius, base = 0.46 * Math.min(width, height);
    const [cy, sy, ct, st] = [Math.cos(camera.yaw), Math.sin(camera.yaw), Math.cos(camera.tilt), Math.sin(camera.tilt)];
    const left = width / 2 + base * camera.x, top = height / 2 - base * camera.y, k = 3 * this.follow;
    const out = [0, 0, 0];
    return (all, i) => {
      const dx = all[i] - (follows ? all[k] : x0), dy = all[i + 1] - (follows ? all[k + 1] : y0), dz = all[i + 2] - (follows ? all[k + 2] : z0);
      const u = cy * dx - sy * dy, v = sy * dx + cy * dy;
      out[0] = left + scale * u;
      out[1] = top - scale * (v * st + dz * ct);
      out[2] = (dz * st - v * ct) / radius;
      return out;
    };
  }

  draw(c) {
    const s = surface(this.canvas);
    if (!s) return;
    const { run, app } = this, { context: g, width, height } = s, palette = colours(), t = app.axis.time(run, c);
    g.clearRect(0, 0, width, height);
    const project = this.projection(width, height);
    if (app.trails === 'whole' || (app.trails === 'trail' && run.drawn.length * run.n <= 30000)) this.drawWhole(s, project, palette);
    if (app.trails !== 'none') this.drawTrails(g, project, palette, clamp(t, run.first, run.last));
    const here = run.at(t);
    const order = run.bodies.map((_, k) => k).map((k) => [...project(here, 3 * k), k]).sort((a, b) => a[2] - b[2]);
    let lost = 0;
    for (const [x, y, depth, k] of order) {
      if (!(x > -20 && x < width + 20 && y > -20 && y < height + 20)) { lost++; continue; }
      g.beginPath();
      g.arc(x, y, this.radii[k] * (run.axes === 3 ? clamp(1 + 0.25 * depth, 0.6, 1.4) : 1), 0, 7);
      g.fillStyle = pick(palette.bodies, k);
      g.fill();
      g.strokeStyle = palette.card;
      g.lineWidth = 1;
      g.stroke();
    }
    this.drawScale(g, palette, width, height, project, lost, t);
    this.describe(here, t, lost);
  }

  /** The paths of the whole run, pale; drawn anew only when the view changes. */
  drawWhole({ context, width, height, ratio }, project, palette) {
    const { run, backdrop, app } = this, key = [this.camera.key(), width, height, ratio, this.follow, palette.card, app.trails].join();
    if (this.drawnKey !== key) {
      this.drawnKey = key;
      backdrop.width = Math.round(width * ratio);
      backdrop.height = Math.round(height * ratio);
      const g = backdrop.getContext('2d'), M = run.drawn.length, parts = clamp(Math.floor(40000 / (M * run.n)), 1, 12);
      const stride = Math.ceil(M * run.n / WHOLE);
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.globalAlpha = app.trails === 'whole' ? 0.45 : 0.22;
      this.polylines(g, project, palette, this.vertices(0, M - 1, stride, parts, -Infinity, Infinity), () => 1);
    }
    context.drawImage(backdrop, 0, 0, width, height);
  }

  drawTrails(g, project, palette, t) {
    const { run } = this, length = this.app.trailLength(run), from = t - length;
    const i = Math.max(0, countUpTo(run.drawnTime, from) - 1), j = Math.min(run.drawn.length - 1, countUpTo(run.drawnTime, t));
    const rows = Math.max(1, j - i), stride = Math.ceil(rows * run.n / VERTICES);
    const parts = clamp(Math.floor(VERTICES / (rows * run.n)), 1, 16);
    const vertices = this.vertices(i, j, stride, parts, from, t);
    this.polylines(g, project, palette, vertices, (when) => clamp(1 - (t - when) / length, 0, 1));
    g.globalAlpha = 1;
  }

  /** Positions along drawn rows i to j within [from, to]: [time, positions] with `parts` points an interval. */
  vertices(i, j, stride, parts, from, to) {
    const { run } = this, found = [], add = (k, t) => found.push([t, run.between(k, t, new Float32Array(3 * run.n))]);
    if (from > run.drawnTime[i]) add(i, from);
    for (let k = i; k < j; k += stride) {
      const a = run.drawnTime[k], h = run.drawnTime[Math.min(k + 1, j)] - a;
      for (let p = 0; p < parts; p++) {
        const t = a + h * p / parts;
        if (t >= from && t < to) add(k, t);
      }
    }
    const end = Math.min(to, run.drawnTime[j]);
    if (j > i) add(j - 1, end);
    return found;
  }

  /** Draw the paths through `vertices`, in bands whose strength `fade(time)` gives. */
  polylines(g, project, palette, vertices, fade) {
    const bands = 10, alpha = g.globalAlpha;
    g.lineWidth = this.run.n <= 12 ? 1.6 : 1;
    g.lineJoin = 'round';
    for (let k = 0; k < this.run.n; k++) {
      g.strokeStyle = pick(palette.bodies, k);
      let band = -1;
      for (let m = 0; m < vertices.length; m++) {
        const [x, y] = project(vertices[m][1], 3 * k), b = Math.ceil(bands * fade(vertices[m][0]) ** 1.5);
        if (b !== band) {
          if (band >= 0) { g.lineTo(x, y); g.stroke(); }
          band = b;
          g.globalAlpha = alpha * 0.9 * Math.max(band, 0.3) / bands;
          g.beginPath();
          g.moveTo(x, y);
        } else g.lineTo(x, y);
      }
      if (band >= 0) g.stroke();
    }
    g.globalAlpha = alpha;
  }

  /** A bar of a round length, the axes of space, and words about what cannot be seen. */
  drawScale(g, palette, width, height, project, lost, t) {
    const { run, camera } = this, pixels = 0.46 * Math.min(width, height) * camera.zoom / (run.view[3] * run.scale);
    const raw = 90 / pixels, power = 10 ** Math.floor(Math.log10(raw)), round = power * [5, 2, 1].find((m) => m * power <= raw);
    Object.assign(g, { strokeStyle: palette.muted, fillStyle: palette.muted, lineWidth: 1.5, font: '12px system-ui, sans-serif', textBaseline: 'alphabetic' });
    g.beginPath();
    g.moveTo(12, height - 18); g.lineTo(12, height - 12); g.lineTo(12 + round * pixels, height - 12); g.lineTo(12 + round * pixels, height - 18);
    g.stroke();
    g.fillText(brief(round), 14, height - 20);
    if (run.axes === 3) {
      const zero = new Float32Array([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]), saved = this.follow;
      this.follow = -1;
      const bare = this.projection(2, 2), o = [...bare(zero, 0)];
      this.follow = saved;
      ['x', 'y', 'z'].forEach((name, d) => {
        const p = bare(zero, 3 * d + 3), f = 24 * run.view[3] / (0.92 * camera.zoom), x = width - 42, y = height - 40;
        g.beginPath(); g.moveTo(x, y); g.lineTo(x + f * (p[0] - o[0]), y + f * (p[1] - o[1])); g.stroke();
        g.fillText(name, x + 1.35 * f * (p[0] - o[0]) - 3, y + 1.35 * f * (p[1] - o[1]) + 4);
      });
    }
    const remarks = [];
    if (t > run.last) remarks.push('the run has ended');
    if (t < run.first) remarks.push('the run has not begun');
    if (lost) remarks.push(`${lost === 1 ? 'a body is' : count(lost) + ' bodies are'} outside`);
    g.fillText(remarks.join(', '), 12, 20);
  }

  describe(here, t, lost) {
    const { run } = this;
    this.swatch.style.background = run.colour();
    this.dots.forEach(([dot], k) => { dot.style.background = pick(colours().bodies, k); });
    const places = run.bodies.slice(0, 5).map(([, name], k) => `${name} (${run.place(k, here).map((x) => brief(x, 5)).join(', ')})`);
    this.canvas.setAttribute('aria-label', `Orbits of ${run.label} at time ${brief(t, 6)}: ${places.join('; ')}${lost ? `; ${lost} outside` : ''}`);
  }
}
