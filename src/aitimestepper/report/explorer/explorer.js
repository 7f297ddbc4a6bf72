// The page: one cursor, and all that follows it.

const DATA = JSON.parse(at('data').textContent);
const STEPS_A_SECOND = 150;  // of the first speed, unless the run would take more than ten minutes or less than ten seconds

class App {
  constructor() {
    this.runs = DATA.runs.map((data, k) => new Run(data, k));
    shareView(this.runs);
    this.trainings = DATA.trainings.map((data, k) => new Course(data, this.runs.length + k));
    this.axis = new Axis(this.runs.length ? this.runs : this.trainings, 'time');
    this.courses = this.trainings.length ? new Axis(this.trainings, 'time') : null;
    this.trails = 'trail';
    this.playing = false;
    this.swatches = [];
    this.cursor = this.axis.low;
    this.scenes = this.runs.map((run) => new Scene(run, this));
    this.marks = this.runs.flatMap((run) => run.marks()).sort((a, b) => this.axis.of(a.run, a.time) - this.axis.of(b.run, b.time));
    this.speed = this.firstSpeed();
    this.build();
    this.listen();
    this.setPlaying(false);
    this.seek(this.axis.low);
  }

  /** Units of the axis a second at which steps can be followed with the eye. */
  firstSpeed() {
    const span = this.axis.high - this.axis.low, rows = Math.max(...this.axis.runs.map((r) => r.rows ?? 10 * r.time.length));
    return span / clamp(rows / STEPS_A_SECOND, 10, 600);
  }

  /** How long trails are: an eighth of the run, but no more than some hundred rows. */
  trailLength(run) {
    const span = run.last - run.first || 1;
    return Math.min(0.12 * span, 500 / Math.max(1, run.rows) * span) || 1;
  }

  // ---- what is on the page ----
  build() {
    at('scenes').append(...this.scenes.map((s) => s.figure));
    at('scenes').classList.toggle('many', this.scenes.length > 2);
    this.charts = this.runs.length ? this.runCharts() : [];
    at('charts').append(...this.charts.map((c) => c.figure));
    at('stage').hidden = !this.runs.length;
    this.courseCharts = this.trainings.length ? this.trainingCharts() : [];
    at('trainings').hidden = !this.trainings.length;
    at('trainings').querySelector('.grid').append(...this.courseCharts.map((c) => c.figure));
    at('numbers').hidden = !this.runs.length;
    at('axis').parentElement.hidden = this.runs.length < 2;
    at('follow').parentElement.hidden = !this.runs.length || this.runs.some((r) => r.n > 200);
    const most = this.runs.reduce((a, b) => (b.n > a.n ? b : a), this.runs[0] ?? { bodies: [] });
    at('follow').append(make('option', { value: -1 }, 'fixed'), ...most.bodies.map(([, name], k) => make('option', { value: k }, name)));
    at('jumps').hidden = !this.marks.length;
    at('view').hidden = !this.runs.length;
    at('lead').textContent = this.lead();
    this.cells = this.table(at('numbers').querySelector('table'), this.runs, this.quantities());
    this.courseCells = this.table(at('trainings').querySelector('table'), this.trainings, this.metrics());
    this.buildEncounters();
    at('about').querySelector('.grid').append(...[...this.runs, ...this.trainings].map((r) => about(r)));
  }

  lead() {
    const rows = this.runs.map((r) => (r.time.length < r.rows ? `${count(r.time.length)} of ${count(r.rows)} rows of ${r.label}` : `${count(r.rows)} rows of ${r.label}`));
    const epochs = this.trainings.map((t) => `${count(t.time.length)} epochs of ${t.label}`);
    const thinned = this.runs.some((r) => r.time.length < r.rows) ? ': smallest and largest values of every pixel, and rows between them' : '';
    return [...rows, ...epochs].join(', ') + thinned;
  }

  runCharts() {
    const chart = (title, key, log, more = {}) => new Chart(title, {
      lines: this.runs.map((run) => ({ of: run, y: run[key], line: null })),
      log, getAxis: () => this.axis, seek: (c) => this.seekRow(c), zoom: (f, c) => this.zoom(f, c), read: (run, i, v) => brief(v), marks: this.marks, ...more,
    });
    const errors = { lines: this.runs.map((run) => ({ of: run, y: run.error, line: run.tolerance })), lowest: 0.02 };  // an error can pass through zero
    const found = [chart('time step dt', 'dt', true), chart('energy error', 'error', true, errors)];
    if (this.runs.some((r) => r.forces.known)) {
      found.push(chart('forces spent', 'spent', false, { read: (run, i, v) => (run.forces.exact ? '' : '≈ ') + count(Math.round(v)) }));
    }
    if (this.runs.some((r) => r.paired)) found.push(chart('distance of the closest pair', 'near', true));
    return found;
  }

  trainingCharts() {
    const names = [...new Map(this.trainings.flatMap((t) => t.metrics.map((m) => [m.name, m])))].map(([, m]) => m);
    return names.map(({ name, label, log }) => new Chart(label, {
      lines: this.trainings.filter((t) => t.metric(name)).map((t) => ({ of: t, y: t.metric(name).values, line: t.metric(name).line })),
      log, getAxis: () => this.courses, seek: (c) => this.seekCourse(c), zoom: () => {}, read: (t, i, v) => brief(v), levels: 'threshold', x: 'epochs',
    }));
  }

  /** [label, key, text of run r at its kept row i]: those of the file are exact. */
  quantities() {
    return [
      ['row', 'row', (r, i) => `${count(r.row[i])} of ${count(r.rows)}`],
      ['time', 'time', (r, i) => exact(r.time[i])],
      ['dt', 'dt', (r, i) => exact(r.dt[i])],
      ['energy error', 'error', (r, i) => exact(r.error[i])],
      ['tolerance', 'tolerance', (r) => (r.tolerance === null ? 'none' : exact(r.tolerance))],
      ['steps', 'steps', (r, i) => String(r.steps[i])],
      ['forces spent', 'forces', (r, i) => (r.forces.known ? (r.forces.exact ? '' : '≈ ') + String(Math.round(r.spent[i])) : 'not in the file')],
      ['closest pair', 'near', (r, i) => (Number.isFinite(r.near[i]) ? `${exact(r.near[i])} (${r.name(r.pair[2 * i])}, ${r.name(r.pair[2 * i + 1])})` : '–')],
    ];
  }

  metrics() {
    const names = [...new Map(this.trainings.flatMap((t) => t.metrics.map((m) => [m.name, m])))];
    return [['epoch', 'epoch', (t, i) => String(t.time[i])],
      ...names.map(([name, { label }]) => [label, name, (t, i) => exact(t.metric(name)?.values[i] ?? NaN)])];
  }

  /** Fill a table with a row for each quantity and a column for each run, and return its cells with their texts. */
  table(table, columns, quantities) {
    const head = columns.map((run) => {
      const swatch = make('span', { className: 'dot' });
      this.swatches.push([swatch, run]);
      return make('th', { scope: 'col' }, swatch, ` ${run.label}`);
    });
    table.append(make('thead', {}, make('tr', {}, make('td'), ...head)));
    const cells = [], body = make('tbody');
    for (const [label, key, text] of quantities) {
      const row = make('tr', {}, make('th', { scope: 'row' }, label));
      for (const run of columns) {
        const cell = make('td');
        Object.assign(cell.dataset, { quantity: key, run: run.index });
        cells.push([cell, run, text]);
        row.append(cell);
      }
      body.append(row);
    }
    table.append(body);
    return cells;
  }

  buildEncounters() {
    const shown = [...this.marks].sort((a, b) => (a.distance ?? -1) - (b.distance ?? -1)).slice(0, 60);
    at('encounters').hidden = !shown.length;
    const many = this.runs.length > 1, notes = this.runs.filter((r) => r.pairRows > 1).map((r) => `in every ${r.pairRows}th row of ${r.label}`);
    const head = ['time', 'what', 'distance', 'details', ...(many ? ['run'] : [])];
    const rows = shown.map((mark) => {
      const time = make('button', { type: 'button', title: 'Go there' }, brief(mark.time, 7));
      time.addEventListener('click', () => this.seek(this.axis.of(mark.run, mark.time)));
      return make('tr', {}, make('td', {}, time), make('td', {}, mark.kind), make('td', {}, mark.distance === null ? '' : exact(mark.distance)),
        make('td', {}, mark.text), ...(many ? [make('td', {}, mark.run.label)] : []));
    });
    at('encounters').querySelector('table').append(
      make('thead', {}, make('tr', {}, ...head.map((word) => make('th', { scope: 'col' }, word)))), make('tbody', {}, ...rows));
    if (notes.length) at('encounters').append(make('p', {}, `Pairs were looked at ${notes.join(', ')}.`));
  }

  // ---- the cursor ----
  /** Move the cursor to a coordinate. */
  seek(c) {
    this.cursor = clamp(c, this.axis.low, this.axis.high);
    this.request();
  }

  /** Move the cursor to the kept row nearest to a coordinate. */
  seekRow(c) {
    const before = this.axis.neighbour(c, -1), after = this.axis.neighbour(c, 1);
    this.seek(c - before < after - c ? before : after);
  }

  seekCourse(c) {
    const share = (c - this.courses.low) / (this.courses.high - this.courses.low);
    this.seek(this.axis.low + share * (this.axis.high - this.axis.low));
  }

  courseCursor() {
    return this.runs.length ? this.courses.low + this.share() * (this.courses.high - this.courses.low) : this.cursor;
  }

  share() { return (this.cursor - this.axis.low) / (this.axis.high - this.axis.low); }

  /** Let the charts show `factor` times as much time, about the coordinate c. */
  zoom(factor, c = this.cursor) {
    const { axis } = this;
    axis.show(c - (c - axis.from) * factor, c + (axis.to - c) * factor);
    at('whole').hidden = axis.to - axis.from >= axis.high - axis.low;
    this.request();
  }

  /** Keep the cursor in what the charts show: they move on by pages. */
  keepInSight() {
    const { axis } = this, width = axis.to - axis.from;
    if (this.cursor < axis.from) axis.show(this.cursor - 0.9 * width, this.cursor + 0.1 * width);
    if (this.cursor > axis.to) axis.show(this.cursor - 0.1 * width, this.cursor + 0.9 * width);
  }

  jump(direction) {
    const places = this.marks.map((m) => this.axis.of(m.run, m.time)).sort((a, b) => a - b);
    const next = direction > 0 ? places.find((u) => u > this.cursor) : places.reverse().find((u) => u < this.cursor);
    if (next !== undefined) this.seek(next);
  }

  setAxis(mode) {
    const share = this.share();
    this.axis = new Axis(this.runs.length ? this.runs : this.trainings, mode);
    this.marks.sort((a, b) => this.axis.of(a.run, a.time) - this.axis.of(b.run, b.time));
    this.speed = this.firstSpeed();
    this.zoom(1);
    this.seek(this.axis.low + share * (this.axis.high - this.axis.low));
  }

  setPlaying(playing) {
    this.playing = playing;
    at('play').textContent = playing ? '❚❚' : '▶';
    at('play').setAttribute('aria-label', playing ? 'Pause' : 'Play');
    if (playing && this.cursor >= this.axis.high) this.cursor = this.axis.low;
    this.before = undefined;
    this.request();
  }

  changeSpeed(factor) {
    const span = this.axis.high - this.axis.low;
    this.speed = clamp(this.speed * factor, span / 1e7, span);
    this.request();
  }

  tick(now) {
    const passed = this.before === undefined ? 0 : Math.min(0.1, (now - this.before) / 1000);
    if (stillness.matches && this.before !== undefined && now - this.before < 500) return;  // jumps instead of motion
    this.before = now;
    this.cursor = Math.min(this.axis.high, this.cursor + this.speed * (stillness.matches ? 5 * passed : passed));
    if (this.cursor >= this.axis.high) this.setPlaying(false);
  }

  // ---- drawing ----
  request() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame((now) => {
      this.pending = false;
      if (this.playing) this.tick(now);
      this.draw();
      if (this.playing) this.request();
    });
  }

  draw() {
    const c = this.cursor;
    this.keepInSight();
    for (const scene of this.scenes) scene.draw(c);
    for (const chart of this.charts) chart.draw(c);
    for (const chart of this.courseCharts) chart.draw(this.courseCursor());
    for (const [cell, run, text] of this.cells) cell.textContent = text(run, this.axis.row(run, c));
    for (const [cell, run, text] of this.courseCells) cell.textContent = text(run, this.courses.row(run, this.courseCursor()));
    for (const [swatch, run] of this.swatches) swatch.style.background = run.colour();
    const unit = this.axis.mode === 'share' ? 'share' : this.runs.length ? 't' : 'epoch', words = `${unit} = ${brief(c, 8)}`;
    at('clock').textContent = `${words} of ${brief(this.axis.high, 6)}`;
    if (Number(at('scrub').value) !== this.share()) at('scrub').value = this.share();
    at('scrub').setAttribute('aria-valuetext', words);
    at('speed').textContent = `${brief(this.speed, 3)} / s`;
  }

  moveCameras(change) {
    for (const scene of this.scenes) change(scene.camera);
    this.request();
  }

  resetView() { this.moveCameras((c) => c.reset()); }

  // ---- what the user does ----
  listen() {
    const click = (id, action) => at(id).addEventListener('click', action);
    click('play', () => this.setPlaying(!this.playing));
    click('slower', () => this.changeSpeed(0.5));
    click('faster', () => this.changeSpeed(2));
    click('before', () => this.jump(-1));
    click('next', () => this.jump(1));
    click('closer', () => this.zoom(0.5));
    click('wider', () => this.zoom(2));
    click('whole', () => this.zoom(Infinity));
    click('reset', () => this.resetView());
    at('scrub').addEventListener('input', (e) => this.seekRow(this.axis.low + Number(e.target.value) * (this.axis.high - this.axis.low)));
    at('trails').addEventListener('change', (e) => { this.trails = e.target.value; this.request(); });
    at('axis').addEventListener('change', (e) => this.setAxis(e.target.value));
    at('follow').addEventListener('change', (e) => {
      for (const scene of this.scenes) scene.follow = Number(e.target.value) < scene.run.n ? Number(e.target.value) : -1;
      this.request();
    });
    addEventListener('keydown', (e) => this.key(e));
    new ResizeObserver(() => this.request()).observe(document.body);
    darkness.addEventListener('change', () => this.request());
    const print = (on) => { printing = on; this.setPlaying(false); this.draw(); };
    addEventListener('beforeprint', () => print(true));
    addEventListener('afterprint', () => print(false));
    matchMedia('print').addEventListener('change', (e) => print(e.matches));
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.tagName === 'SELECT') return;
    const onButton = e.target.tagName === 'BUTTON', hundredth = (this.axis.high - this.axis.low) / 100;
    const actions = {
      ' ': onButton ? null : () => this.setPlaying(!this.playing),
      ArrowRight: () => (e.shiftKey ? this.seekRow(this.cursor + hundredth) : this.seek(this.axis.neighbour(this.cursor, 1))),
      ArrowLeft: () => (e.shiftKey ? this.seekRow(this.cursor - hundredth) : this.seek(this.axis.neighbour(this.cursor, -1))),
      PageUp: e.target === at('scrub') ? () => this.seekRow(this.cursor + 10 * hundredth) : null,
      PageDown: e.target === at('scrub') ? () => this.seekRow(this.cursor - 10 * hundredth) : null,
      Home: () => this.seek(this.axis.low),
      End: () => this.seek(this.axis.high),
      '+': () => this.changeSpeed(2), '=': () => this.changeSpeed(2), '-': () => this.changeSpeed(0.5),
      z: () => this.zoom(0.5), x: () => this.zoom(2),
      n: () => this.jump(1), p: () => this.jump(-1), 0: () => this.resetView(),
      t: () => {
        const order = ['trail', 'whole', 'none'];
        at('trails').value = this.trails = pick(order, order.indexOf(this.trails) + 1);
        this.request();
      },
    };
    const action = actions[e.key];
    if (!action) return;
    e.preventDefault();
    action();
  }
}

new App();
