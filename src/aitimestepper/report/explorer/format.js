// Numbers as text, colours, and small helpers of the page.

// Paul Tol's sets, distinct for colour-blind readers; brighter ones on dark ground
const LIGHT = {
  ink: '#1f2933', muted: '#5b6875', line: '#d5dbe1', card: '#ffffff',
  bodies: ['#4477aa', '#ee7733', '#228833', '#aa3377', '#009988', '#b8860b', '#66ccee', '#882255', '#777777', '#332288'],
  runs: ['#d1382c', '#2a6fb0', '#1d7a35', '#8e44ad', '#9a6b00', '#007f7f', '#555555', '#c2185b'],
};
const DARK = {
  ink: '#e4e8ec', muted: '#a3aeb9', line: '#37424d', card: '#1a2027',
  bodies: ['#7fb2e5', '#ff9d5c', '#6fcf7f', '#e57ab8', '#3fd0bd', '#e5bd4f', '#8fe0ff', '#d96fa0', '#b5b5b5', '#a79bff'],
  runs: ['#ff7a6b', '#6fb1ff', '#6fcf7f', '#cf9bff', '#e5bd4f', '#4fd6d6', '#c0c0c0', '#ff8fb8'],
};
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3]];  // so that runs differ in print, too

const darkness = matchMedia('(prefers-color-scheme: dark)');
const stillness = matchMedia('(prefers-reduced-motion: reduce)');
let printing = false;

const colours = () => (darkness.matches && !printing ? DARK : LIGHT);
const pick = (list, k) => list[k % list.length];
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

/** The shortest text that is this number again, in Python's form: 1e-05, 0.1, 12.0. */
function exact(x) {
  if (Number.isNaN(x)) return 'nan';
  if (!Number.isFinite(x)) return x > 0 ? 'inf' : '-inf';
  if (x === 0) return Object.is(x, -0) ? '-0.0' : '0.0';
  const [, sign, first, rest = '', power] = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(x.toExponential());
  const digits = first + rest, e = Number(power);
  if (e < -4 || e >= 16) {
    return `${sign}${first}${rest && '.' + rest}e${e < 0 ? '-' : '+'}${String(Math.abs(e)).padStart(2, '0')}`;
  }
  if (e < 0) return `${sign}0.${'0'.repeat(-e - 1)}${digits}`;
  return `${sign}${digits.slice(0, e + 1).padEnd(e + 1, '0')}.${digits.slice(e + 1) || '0'}`;
}

/** A number in about `n` digits. */
function brief(x, n = 4) {
  if (!Number.isFinite(x)) return '–';
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return x.toExponential(Math.min(n - 1, 2)).replace(/\.?0*e\+?/, 'e');
  return String(Number(x.toPrecision(n)));
}

const count = (n) => n.toLocaleString('en-US');

/** A new element with properties, and children that are elements or plain text: nothing from a file is read as HTML. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const at = (id) => document.getElementById(id);

/** A canvas sized for the screen, with its context in CSS pixels; null where it is not shown. */
function surface(canvas) {
  const box = canvas.getBoundingClientRect(), ratio = clamp(devicePixelRatio || 1, printing ? 2 : 1, 3);
  const width = Math.round(box.width), height = Math.round(box.height);
  if (width < 4 || height < 4) return null;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height, ratio };
}
