/** Light or dark: as the system says, or as a person chose, which this browser remembers. The palettes are in theme.css; no colour is here. */
export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const KEY = 'chronovisor-theme';
const CHANGED = 'theme-changed';
const SYSTEM = '(prefers-color-scheme: dark)';

const isTheme = (value: string | null): value is Theme => THEMES.some((theme) => theme === value);

/** Kept for the page where the browser keeps nothing. */
let chosen: Theme = 'system';
try {
  const kept = localStorage.getItem(KEY);
  if (isTheme(kept)) chosen = kept;
} catch {
  // A private window, or a page from disk.
}

/** The one rule of theme.css that has the dark palette: its condition is what is changed, so that there is one palette. */
let darkRule: CSSMediaRule | undefined;

function show(): void {
  darkRule ??= [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).find((rule): rule is CSSMediaRule => rule instanceof CSSMediaRule && rule.conditionText === SYSTEM);
  if (darkRule !== undefined) darkRule.media.mediaText = { system: SYSTEM, dark: 'all', light: 'not all' }[chosen];
  // Of controls and scroll bars.
  document.documentElement.style.colorScheme = chosen === 'system' ? 'light dark' : chosen;
}
show();

export function theme(): Theme {
  return chosen;
}

export function chooseTheme(next: Theme): void {
  chosen = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Then it holds until the page is closed.
  }
  show();
  dispatchEvent(new Event(CHANGED));
}

/** After 'dark' comes 'system'. */
export function nextTheme(): void {
  chooseTheme(THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length]);
}

/** Colours are others: what is painted has to be painted again. Gives back how to stop. */
export function onThemeChange(listener: () => void): () => void {
  const system = matchMedia(SYSTEM);
  system.addEventListener('change', listener);
  addEventListener(CHANGED, listener);
  return () => {
    system.removeEventListener('change', listener);
    removeEventListener(CHANGED, listener);
  };
}
