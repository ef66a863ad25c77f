// One request of an operation: as a curl command, and sent from here.
import { el, coloured, listing } from './element.js';

const pretty = value => JSON.stringify(value, null, 2);

/** The address with its parameters filled in. */
function address(path, parameters, valueOf) {
  const query = new URLSearchParams();
  for (const parameter of parameters) {
    const value = valueOf(parameter);
    if (parameter.in === 'path') path = path.replace(`{${parameter.name}}`, encodeURIComponent(value || parameter.name));
    else if (value) query.set(parameter.name, value);
  }
  return path + (query.size ? `?${query}` : '');
}

const exampleOf = parameter => parameter.example ?? parameter.schema?.example ?? '';

export class Call {
  constructor({ path, method, operation }, schemas) {
    this.path = path;
    this.method = method.toUpperCase();
    this.parameters = operation.parameters || [];
    this.scope = operation['x-key'];
    const content = operation.requestBody?.content;
    this.contentType = content && Object.keys(content)[0];
    this.body = content && schemas.example(content[this.contentType].schema);
  }

  curl() {
    const needed = parameter => (parameter.in === 'path' || parameter.required ? exampleOf(parameter) : '');
    const lines = [`curl ${this.method === 'GET' ? '' : `-X ${this.method} `}'${location.origin}${address(this.path, this.parameters, needed)}'`];
    if (this.scope) lines.push(`-H "Authorization: Bearer $MERX_${this.scope.toUpperCase()}_KEY"`);
    if (this.body !== undefined) lines.push(`-H 'Content-Type: ${this.contentType}'`, `-d '${pretty(this.body).replaceAll("'", "'\\''")}'`);
    return listing('Request', lines.join(' \\\n  '));
  }

  /** A form that sends the request with the key of the page's head. */
  form(keyInput) {
    const inputs = this.parameters.map(parameter => ({ parameter, input: el('input', { name: parameter.name, value: exampleOf(parameter), placeholder: parameter.in }) }));
    const body = this.body !== undefined && el('textarea', { 'aria-label': 'Body', spellcheck: 'false' });
    if (body) body.value = pretty(this.body);
    const status = el('span', {});
    const answer = el('pre', { tabindex: 0 });
    const shown = el('figure', { hidden: true, 'aria-live': 'polite' }, el('figcaption', {}, status), answer);
    const send = async event => {
      event.preventDefault();
      const valueOf = wanted => inputs.find(({ parameter }) => parameter === wanted).input.value;
      const headers = {};
      if (keyInput.value) headers.Authorization = `Bearer ${keyInput.value}`;
      if (body) headers['Content-Type'] = this.contentType;
      shown.hidden = false;
      status.textContent = 'Sent …';
      const started = performance.now();
      try {
        const reply = await fetch(address(this.path, this.parameters, valueOf), { method: this.method, headers, body: body ? body.value : undefined });
        const text = await reply.text();
        status.textContent = `${reply.status} ${reply.statusText}, ${(performance.now() - started).toFixed(0)} ms`;
        const isJson = /json/.test(reply.headers.get('content-type'));
        answer.replaceChildren(...(isJson ? coloured(pretty(JSON.parse(text))) : [text]));
      } catch (error) {
        status.textContent = `No answer: ${error.message}`;
      }
    };
    return el('details', { class: 'try' }, el('summary', {}, 'Try it'), el('form', { onsubmit: send },
      ...inputs.map(({ parameter, input }) => el('label', {}, parameter.name, input)), body, el('button', { class: 'primary' }, 'Send'), shown));
  }
}
