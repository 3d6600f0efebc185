/**
 * Remembers what is drawn on each canvas of a page, as SVG: installed before the page's own scripts. Drawing goes on as before. What a fill of the whole canvas covers is
 * forgotten, so there is the last frame. Only what the lab's painters use; what is not known here throws, so that a picture is never silently wrong.
 */
export interface RecordedCanvas extends HTMLCanvasElement {
  /** Elements of the last frame, in CSS pixels of the canvas's own size. */
  svgOfFrame?: readonly string[];
}

/** Runs in the page: it may use nothing from outside. */
export function installCanvasRecorder(): void {
  const number = (value: number): string => String(Math.round(value * 10) / 10);
  const text = (value: string): string => value.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
  const getContext = HTMLCanvasElement.prototype.getContext;
  const known = new WeakMap<HTMLCanvasElement, CanvasRenderingContext2D>();
  const plain = new Set(['measureText', 'save', 'restore', 'setTransform', 'getTransform', 'setLineDash', 'getLineDash', 'canvas', 'createImageData']);
  const anchors: Readonly<Record<string, string>> = { center: 'middle', right: 'end', end: 'end' };

  function recorded(canvas: RecordedCanvas, context: CanvasRenderingContext2D): CanvasRenderingContext2D {
    let frame: string[] = [];
    let path = '';
    let clips: string[] = [''];
    let count = 0;
    const id = Math.random().toString(36).slice(2, 7);
    /** Rectangles of one colour are one path. */
    let bars: { readonly style: string; d: string; end: { readonly x: number; readonly y: number; readonly h: number } | undefined } | undefined;
    const matrix = (): DOMMatrix => context.getTransform();
    const point = (x: number, y: number): string => {
      const { x: px, y: py } = matrix().transformPoint({ x, y });
      return `${number(px)} ${number(py)}`;
    };
    const settle = (): void => {
      if (bars !== undefined) frame.push(`<path d="${bars.d}" ${bars.style}/>`);
      bars = undefined;
    };
    const clipped = (element: string): string => {
      const clip = clips[clips.length - 1];
      return clip === '' ? element : element.replace(/\/>$|>/, (end) => ` clip-path="url(#${clip})"${end}`);
    };
    const push = (element: string): void => {
      settle();
      frame.push(clipped(element));
    };
    const alpha = (): string => (context.globalAlpha < 1 ? ` opacity="${number(context.globalAlpha * 10) === '0' ? context.globalAlpha : Math.round(context.globalAlpha * 100) / 100}"` : '');
    const stroke = (): string => {
      const dash = context.getLineDash();
      return `fill="none" stroke="${String(context.strokeStyle)}" stroke-width="${number(context.lineWidth * matrix().a)}"${dash.length > 0 ? ` stroke-dasharray="${dash.map(number).join(' ')}"` : ''}${alpha()}`;
    };
    const calls: Readonly<Record<string, (...values: never[]) => unknown>> = {
      fillRect(x: number, y: number, w: number, h: number) {
        context.fillRect(x, y, w, h);
        const m = matrix();
        const [left, top, width, height] = [x * m.a + m.e, y * m.d + m.f, w * m.a, h * m.d];
        if (left <= 0 && top <= 0 && left + width >= canvas.width && top + height >= canvas.height && context.globalAlpha === 1) {
          frame = [];
          bars = undefined;
          clips = [''];
        }
        const clip = clips[clips.length - 1];
        const style = `fill="${String(context.fillStyle)}"${alpha()}${clip === '' ? '' : ` clip-path="url(#${clip})"`}`;
        if (bars?.style !== style) {
          settle();
          bars = { style, d: '', end: undefined };
        }
        bars.d += `M${number(left)} ${number(top)}h${number(width)}v${number(height)}h${number(-width)}z`;
      },
      clearRect() {
        throw new Error('the recorder of canvases has no clearRect');
      },
      fillText(value: string, x: number, y: number) {
        context.fillText(value, x, y);
        const size = /([\d.]+)px/.exec(context.font)?.[1] ?? '12';
        const weight = /\b([5-9]00|bold)\b/.exec(context.font)?.[1];
        const family = /mono/i.test(context.font) ? 'mono' : 'sans';
        const baseline = context.textBaseline === 'middle' ? 0.35 : context.textBaseline === 'top' ? 0.8 : 0;
        const anchor = anchors[context.textAlign];
        const m = matrix();
        const [px, py] = point(x, y + Number(size) * baseline).split(' ');
        push(`<text x="${px}" y="${py}" class="${family}" font-size="${number(Number(size) * m.a)}" fill="${String(context.fillStyle)}"${weight === undefined ? '' : ` font-weight="${weight}"`}${anchor === undefined ? '' : ` text-anchor="${anchor}"`} textLength="${number(context.measureText(value).width * m.a)}" lengthAdjust="spacingAndGlyphs"${alpha()}>${text(value)}</text>`);
      },
      strokeRect(x: number, y: number, w: number, h: number) {
        context.strokeRect(x, y, w, h);
        push(`<path d="M${point(x, y)}L${point(x + w, y)}L${point(x + w, y + h)}L${point(x, y + h)}z" ${stroke()}/>`);
      },
      beginPath() {
        context.beginPath();
        path = '';
      },
      moveTo(x: number, y: number) {
        context.moveTo(x, y);
        path += `M${point(x, y)}`;
      },
      lineTo(x: number, y: number) {
        context.lineTo(x, y);
        path += `${path === '' ? 'M' : 'L'}${point(x, y)}`;
      },
      closePath() {
        context.closePath();
        path += 'z';
      },
      rect(x: number, y: number, w: number, h: number) {
        context.rect(x, y, w, h);
        path += `M${point(x, y)}L${point(x + w, y)}L${point(x + w, y + h)}L${point(x, y + h)}z`;
      },
      roundRect(x: number, y: number, w: number, h: number, radius: number) {
        context.roundRect(x, y, w, h, radius);
        const r = number(radius);
        path += `M${point(x + radius, y)}L${point(x + w - radius, y)}A${r} ${r} 0 0 1 ${point(x + w, y + radius)}L${point(x + w, y + h - radius)}A${r} ${r} 0 0 1 ${point(x + w - radius, y + h)}L${point(x + radius, y + h)}A${r} ${r} 0 0 1 ${point(x, y + h - radius)}L${point(x, y + radius)}A${r} ${r} 0 0 1 ${point(x + radius, y)}z`;
      },
      arc(x: number, y: number, radius: number, from: number, to: number) {
        context.arc(x, y, radius, from, to);
        if (to - from < 2 * Math.PI - 0.001) throw new Error('the recorder of canvases knows whole circles only');
        const r = number(radius);
        path += `M${point(x - radius, y)}A${r} ${r} 0 1 1 ${point(x + radius, y)}A${r} ${r} 0 1 1 ${point(x - radius, y)}z`;
      },
      fill() {
        context.fill();
        push(`<path d="${path}" fill="${String(context.fillStyle)}"${alpha()}/>`);
      },
      stroke() {
        context.stroke();
        push(`<path d="${path}" ${stroke()}/>`);
      },
      clip() {
        context.clip();
        const clip = `clip-${id}-${count++}`;
        settle();
        frame.push(`<clipPath id="${clip}"><path d="${path}"/></clipPath>`);
        clips[clips.length - 1] = clip;
      },
      save() {
        context.save();
        clips.push(clips[clips.length - 1]);
      },
      restore() {
        context.restore();
        if (clips.length > 1) clips.pop();
      },
      /** Of another canvas, all of it. */
      drawImage(source: RecordedCanvas, x: number, y: number, w: number, h: number) {
        context.drawImage(source, x, y, w, h);
        if (source.svgOfFrame === undefined || w === undefined) throw new Error('the recorder of canvases draws whole canvases that it has recorded only');
        const m = matrix();
        const [across, down] = [(w * m.a) / source.width, (h * m.d) / source.height].map((scale) => Math.round(scale * 1000) / 1000);
        const move = `translate(${point(x, y)})`;
        push(`<g><g transform="${move}${across === 1 && down === 1 ? '' : ` scale(${across} ${down})`}">${source.svgOfFrame.join('')}</g></g>`);
      },
      putImageData(data: ImageData, x: number, y: number) {
        context.putImageData(data, x, y);
        if (x === 0 && y === 0 && data.width >= canvas.width && data.height >= canvas.height) {
          frame = [];
          bars = undefined;
        }
        // A heat map: its cells as bars of one colour, row by row.
        for (let row = 0; row < data.height; row++) {
          for (let from = 0, to = 1; from < data.width; from = to, to++) {
            const colour = (column: number): string => {
              const [red, green, blue, alpha255] = data.data.slice((row * data.width + column) * 4, (row * data.width + column) * 4 + 4);
              return alpha255 === 0 ? '' : `rgb(${red} ${green} ${blue}${alpha255 === 255 ? '' : ` / ${Math.round((100 * alpha255) / 255)}%`})`;
            };
            while (to < data.width && colour(to) === colour(from)) to++;
            if (colour(from) === '') continue;
            settle();
            frame.push(`<rect x="${x + from}" y="${y + row}" width="${to - from}" height="1" fill="${colour(from)}" shape-rendering="crispEdges"/>`);
          }
        }
      },
    };
    Object.defineProperty(canvas, 'svgOfFrame', { get: () => (settle(), frame) });
    return new Proxy(context, {
      get(target, name) {
        const call = calls[String(name)];
        if (call !== undefined) return call;
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (!plain.has(String(name))) throw new Error(`the recorder of canvases has no ${String(name)}`);
        return value.bind(target) as unknown;
      },
      set: (target, name, value) => Reflect.set(target, name, value, target),
    });
  }

  HTMLCanvasElement.prototype.getContext = function (this: HTMLCanvasElement, kind: string, ...rest: unknown[]): RenderingContext | null {
    const context = (getContext as (...values: unknown[]) => RenderingContext | null).call(this, kind, ...rest);
    if (kind !== '2d' || !(context instanceof CanvasRenderingContext2D)) return context;
    const again = known.get(this) ?? recorded(this, context);
    known.set(this, again);
    return again;
  } as typeof getContext;
}
