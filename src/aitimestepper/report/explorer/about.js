// What is known of a run besides its rows, and the command that makes it again.

/** The facts of a run, and the command that makes it again. */
function about(run) {
  const facts = make('table', { className: 'facts' }, make('tbody', {}, ...run.facts.map(([name, words]) =>
    make('tr', {}, make('th', { scope: 'row' }, name), make('td', {}, words)))));
  const parts = [make('h3', {}, run.label)];
  if (run.command) {
    const code = make('code', {}, run.command), copy = make('button', { type: 'button' }, 'copy');
    copy.setAttribute('aria-label', `Copy the command of ${run.label}`);
    copy.addEventListener('click', () => copyText(run.command, code, copy));
    parts.push(make('div', { className: 'command' }, code, copy));
  } else parts.push(make('p', {}, 'No command repeats it: the file lacks a part, such as a function of the user or an earlier run.'));
  return make('div', {}, ...parts, make('div', { className: 'scroll' }, facts));
}

async function copyText(text, code, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'copied';
  } catch {  // not allowed: select it, so that the user can copy it
    getSelection().selectAllChildren(code);
    button.textContent = 'selected';
  }
  setTimeout(() => { button.textContent = 'copy'; }, 2000);
}
