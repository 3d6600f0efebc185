/**
 * A page as it is laid out now, as a plain SVG: boxes, borders, texts by line, drawn canvases (canvas-recorder.ts), and the page's own SVG. Texts keep their widths, so that
 * another font looks nearly the same.
 */
import type { RecordedCanvas } from './canvas-recorder.ts';

/** Runs in the page: it may use nothing from outside. */
export function pageToSvg(title: string): string {
  const out: string[] = [];
  const defs: string[] = [];
  let clipCount = 0;
  interface Box {
    readonly left: number;
    readonly top: number;
    readonly right: number;
    readonly bottom: number;
  }
  const number = (value: number): string => String(Math.round(value * 10) / 10);
  const text = (value: string): string => value.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
  const isClear = (colour: string): boolean => colour === 'transparent' || /^rgba\(.*, 0\)$/.test(colour);
  /** rgb() as #rrggbb: shorter, and known to every reader of SVG. */
  const paint = (name: string, colour: string): string => {
    const parts = /^rgba?\((\d+), (\d+), (\d+)(?:, ([\d.]+))?\)$/.exec(colour);
    if (parts === null) return `${name}="${colour}"`;
    const hex = `#${parts.slice(1, 4).map((part) => Number(part).toString(16).padStart(2, '0')).join('')}`;
    return `${name}="${hex}"${parts[4] === undefined ? '' : ` ${name}-opacity="${parts[4]}"`}`;
  };
  const meet = (a: Box, b: Box): Box => ({ left: Math.max(a.left, b.left), top: Math.max(a.top, b.top), right: Math.min(a.right, b.right), bottom: Math.min(a.bottom, b.bottom) });
  const isEmpty = ({ left, top, right, bottom }: Box): boolean => right - left < 0.5 || bottom - top < 0.5;

  function box(element: Element, style: CSSStyleDeclaration): void {
    const { left, top, width, height } = element.getBoundingClientRect();
    if (width < 0.5 || height < 0.5) return;
    const sides = (['Top', 'Right', 'Bottom', 'Left'] as const).map((side) => {
      const wide = Number.parseFloat(style[`border${side}Width`]);
      return { wide: style[`border${side}Style`] === 'none' || isClear(style[`border${side}Color`]) ? 0 : wide, colour: style[`border${side}Color`], dash: style[`border${side}Style`] };
    });
    const [first] = sides;
    const isEven = sides.every(({ wide, colour }) => wide === first.wide && colour === first.colour);
    const fill = isClear(style.backgroundColor) ? 'fill="none"' : paint('fill', style.backgroundColor);
    const radius = Math.min(Number.parseFloat(style.borderTopLeftRadius) || 0, width / 2, height / 2);
    const opacity = Number(style.opacity) < 1 ? ` opacity="${style.opacity}"` : '';
    if (isEven && (first.wide > 0 || fill !== 'fill="none"')) {
      const half = first.wide / 2;
      const line = first.wide > 0 ? ` ${paint('stroke', first.colour)}${first.wide === 1 ? '' : ` stroke-width="${first.wide}"`}${first.dash === 'dashed' ? ' stroke-dasharray="4 3"' : ''}` : '';
      out.push(`<rect x="${number(left + half)}" y="${number(top + half)}" width="${number(width - first.wide)}" height="${number(height - first.wide)}"${radius > 0 ? ` rx="${number(radius)}"` : ''} ${fill}${line}${opacity}/>`);
      return;
    }
    if (fill !== 'fill="none"') out.push(`<rect x="${number(left)}" y="${number(top)}" width="${number(width)}" height="${number(height)}"${radius > 0 ? ` rx="${number(radius)}"` : ''} ${fill}${opacity}/>`);
    const edges = [[left, top, width, 0], [left + width, top, 0, height], [left, top + height, width, 0], [left, top, 0, height]] as const; // prettier-ignore
    for (const [i, { wide, colour }] of sides.entries()) {
      if (wide === 0) continue;
      const [x, y, w, h] = edges[i];
      const at = [i === 1 ? x - wide : x, i === 2 ? y - wide : y];
      out.push(`<rect x="${number(at[0])}" y="${number(at[1])}" width="${number(w === 0 ? wide : w)}" height="${number(h === 0 ? wide : h)}" ${paint('fill', colour)}/>`);
    }
  }

  function line(content: string, at: Box, style: CSSStyleDeclaration, clip: Box): void {
    if (content.trim() === '' || isEmpty(meet(at, clip))) return;
    const size = Number.parseFloat(style.fontSize);
    const weight = Number(style.fontWeight) >= 500 ? ` font-weight="${style.fontWeight}"` : '';
    const family = /mono/i.test(style.fontFamily.split(',')[0]) ? 'mono' : 'sans';
    const middle = (at.top + at.bottom) / 2 + size * 0.35;
    out.push(`<text x="${number(at.left)}" y="${number(middle)}" class="${family}" font-size="${number(size)}" ${paint('fill', style.color)}${weight} textLength="${number(at.right - at.left)}" lengthAdjust="spacingAndGlyphs">${text(content.trim())}</text>`);
  }

  /** A text node, line by line as it was broken; what an ellipsis hides is not there. */
  function texts(node: Text, style: CSSStyleDeclaration, clip: Box): void {
    const range = document.createRange();
    const value = node.data;
    const limit = style.textOverflow === 'ellipsis' ? clip.right : Infinity;
    let start = 0;
    let end = 0;
    let at: Box | undefined;
    const flush = (): void => {
      if (at !== undefined) {
        let last = end;
        let right = at.right;
        let tail = '';
        if (right > limit + 0.5) {
          const room = limit - Number.parseFloat(style.fontSize) * 0.9;
          while (last > start && right > room) {
            range.setStart(node, last - 1);
            range.setEnd(node, last);
            right = range.getBoundingClientRect().left;
            last--;
          }
          tail = '…';
          right += Number.parseFloat(style.fontSize) * 0.8;
        }
        line(value.slice(start, last) + tail, { ...at, right }, style, clip);
      }
      at = undefined;
    };
    for (let i = 0; i < value.length; i++) {
      range.setStart(node, i);
      range.setEnd(node, i + 1);
      const rect = range.getClientRects()[0];
      // Blanks between two others count with the second.
      if (rect === undefined || rect.width === 0 || /\s/.test(value[i])) continue;
      if (at !== undefined && Math.abs(rect.top - at.top) > 2) flush();
      if (at === undefined) {
        start = i;
        at = { left: rect.left, top: rect.top, right: rect.right, bottom: rect.bottom };
      } else at = { ...at, right: rect.right };
      end = i + 1;
    }
    flush();
  }

  function drawing(svg: SVGSVGElement, style: CSSStyleDeclaration): void {
    const copy = svg.cloneNode(true) as SVGSVGElement;
    const { left, top, width, height } = svg.getBoundingClientRect();
    const originals = [...svg.querySelectorAll('*')];
    for (const [i, element] of [...copy.querySelectorAll('*')].entries()) {
      const own = getComputedStyle(originals[i]);
      for (const name of [...element.attributes].map(({ name: each }) => each)) if (/^(class|style|aria-.*|role|tabindex|data-.*|href|part|@.*)$/.test(name)) element.removeAttribute(name);
      if (element instanceof SVGTextElement) {
        element.setAttribute('font-size', own.fontSize);
        element.setAttribute('class', /mono/i.test(own.fontFamily.split(',')[0]) ? 'mono' : 'sans');
        if (Number(own.fontWeight) >= 500) element.setAttribute('font-weight', own.fontWeight);
        if (own.textAnchor !== 'start') element.setAttribute('text-anchor', own.textAnchor);
        if (own.dominantBaseline !== 'auto') element.setAttribute('dominant-baseline', own.dominantBaseline);
      }
      element.setAttribute('fill', own.fill);
      if (own.stroke !== 'none') element.setAttribute('stroke', own.stroke);
      if (own.stroke !== 'none' && own.strokeWidth !== '1px') element.setAttribute('stroke-width', own.strokeWidth);
      if (own.strokeDasharray !== 'none') element.setAttribute('stroke-dasharray', own.strokeDasharray);
      if (own.opacity !== '1') element.setAttribute('opacity', own.opacity);
    }
    for (const element of copy.querySelectorAll('title, desc')) element.remove();
    const view = svg.getAttribute('viewBox') ?? `0 0 ${number(width)} ${number(height)}`;
    // Comments are the marks of a template.
    out.push(`<svg x="${number(left)}" y="${number(top)}" width="${number(width)}" height="${number(height)}" viewBox="${view}"${svg.hasAttribute('preserveAspectRatio') ? ` preserveAspectRatio="${svg.getAttribute('preserveAspectRatio')}"` : ''} ${paint('fill', style.fill)}>${copy.innerHTML.replace(/<!--[^]*?-->/g, '').replace(/\s+/g, ' ')}</svg>`);
  }

  function visit(node: Node, clip: Box): void {
    if (node instanceof Text) {
      const parent = node.parentElement ?? (node.parentNode as ShadowRoot | null)?.host;
      if (parent !== null && parent !== undefined && node.data.trim() !== '') texts(node, getComputedStyle(parent), clip);
      return;
    }
    if (!(node instanceof Element)) return;
    const style = getComputedStyle(node);
    if (style.display === 'none' || style.visibility === 'hidden' || node.localName === 'style' || node.localName === 'script' || node.localName === 'noscript') return;
    const rect = node.getBoundingClientRect();
    const isHidden = style.display !== 'contents' && style.clipPath.startsWith('inset(50%');
    if (isHidden) return;
    const own: Box = { left: rect.left, top: rect.top, right: rect.right, bottom: rect.bottom };
    const isClipping = style.overflowX !== 'visible' && style.display !== 'inline' && style.display !== 'contents';
    if (isClipping && isEmpty(meet(own, clip))) return;
    if (node instanceof SVGSVGElement) {
      if (!isEmpty(meet(own, clip))) drawing(node, style);
      return;
    }
    if (!isEmpty(meet(own, clip))) box(node, style);
    if (node.localName === 'summary' && style.display === 'list-item' && !isEmpty(meet(own, clip))) triangle(own, (node.parentElement as HTMLDetailsElement).open, style.color);
    const inner = isClipping ? meet(own, clip) : clip;
    // Only what sticks out needs a clip of its own.
    const needsClip = isClipping && (node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1);
    if (needsClip) {
      const id = `c${clipCount++}`;
      defs.push(`<clipPath id="${id}"><rect x="${number(inner.left)}" y="${number(inner.top)}" width="${number(inner.right - inner.left)}" height="${number(inner.bottom - inner.top)}"/></clipPath>`);
      out.push(`<g clip-path="url(#${id})">`);
    }
    if (node instanceof HTMLCanvasElement) {
      const frame = (node as RecordedCanvas).svgOfFrame;
      if (frame !== undefined) out.push(`<svg x="${number(rect.left)}" y="${number(rect.top)}" width="${number(rect.width)}" height="${number(rect.height)}" viewBox="0 0 ${node.width} ${node.height}" preserveAspectRatio="none">${frame.join('')}</svg>`);
    } else if (node instanceof HTMLInputElement || node instanceof HTMLSelectElement || node instanceof HTMLTextAreaElement) control(node, style, own, clip);
    else if (node instanceof HTMLProgressElement) {
      out.push(`<rect x="${number(rect.left)}" y="${number(rect.top)}" width="${number(rect.width * node.position)}" height="${number(rect.height)}" ${paint('fill', style.accentColor)}/>`);
    } else if (node instanceof HTMLDetailsElement && !node.open) {
      const summary = node.querySelector(':scope > summary');
      if (summary !== null) visit(summary, inner);
    } else for (const child of node instanceof HTMLSlotElement ? node.assignedNodes({ flatten: true }) : (node.shadowRoot ?? node).childNodes) visit(child, inner);
    if (needsClip) out.push('</g>');
  }

  /** The triangle of a part that can be opened. */
  function triangle({ left, top, bottom }: Box, isOpen: boolean, colour: string): void {
    const middle = (top + bottom) / 2;
    out.push(`<path d="${isOpen ? `M${number(left + 1)} ${number(middle - 2)}h7l-3.5 5z` : `M${number(left + 2)} ${number(middle - 3.5)}v7l5-3.5z`}" ${paint('fill', colour)}/>`);
  }

  function control(node: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement, style: CSSStyleDeclaration, own: Box, clip: Box): void {
    if (node instanceof HTMLInputElement && (node.type === 'checkbox' || node.type === 'radio')) {
      if (isEmpty(meet(own, clip))) return;
      const colour = node.checked ? style.accentColor : 'none';
      out.push(`<rect x="${number(own.left + 0.5)}" y="${number(own.top + 0.5)}" width="${number(own.right - own.left - 1)}" height="${number(own.bottom - own.top - 1)}" rx="2.5" ${paint('fill', colour)} stroke="#767676"/>`);
      if (node.checked) out.push(`<path d="M${number(own.left + 3)} ${number((own.top + own.bottom) / 2)}l2.5 3 4-5.5" fill="none" stroke="#fff" stroke-width="1.8"/>`);
      return;
    }
    const shown = node instanceof HTMLSelectElement ? (node.selectedOptions[0]?.text ?? '') : node.value === '' ? node.placeholder : node.value;
    const pen = document.createElement('canvas').getContext('2d')!;
    pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const left = own.left + Number.parseFloat(style.paddingLeft) + 1;
    const faint = node instanceof HTMLSelectElement || node.value !== '' ? style : ({ ...Object.fromEntries(['fontSize', 'fontWeight', 'fontFamily', 'textOverflow'].map((name) => [name, style[name as 'fontSize']])), color: getComputedStyle(node, '::placeholder').color } as unknown as CSSStyleDeclaration);
    line(shown, { ...own, left, right: left + pen.measureText(shown).width }, faint, clip);
    if (node instanceof HTMLSelectElement) out.push(`<path d="M${number(own.right - 16)} ${number((own.top + own.bottom) / 2 - 2)}l4 4 4-4" fill="none" ${paint('stroke', style.color)} stroke-width="1.5"/>`);
  }

  const { innerWidth: width, innerHeight: height } = window;
  const page: Box = { left: 0, top: 0, right: width, bottom: height };
  visit(document.body, page);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${text(title)}">
<style>.sans{font-family:'DejaVu Sans',Verdana,system-ui,sans-serif}.mono{font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace}text{white-space:pre}</style>
<defs>${defs.join('')}</defs>
<rect width="${width}" height="${height}" ${paint('fill', getComputedStyle(document.body).backgroundColor)}/>
${out.join('\n')}
</svg>
`;
}
