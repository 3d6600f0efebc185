/** The pages that analyse a recording, loaded when one of them is opened. */
import { html } from 'lit';
import type { AnalysisPageName, Route } from './router.ts';

export type AnalysisRoute = Extract<Route, { kind: 'analysis' }>;

const MODULES: Readonly<Record<AnalysisPageName, () => Promise<unknown>>> = {
  compare: () => import('./compare-page.ts'),
  profile: () => import('./profile-page.ts'),
  migration: () => import('./migration-page.ts'),
  bisect: () => import('./bisect-page.ts'),
  diff: () => import('./diff-page.ts'),
  branches: () => import('./branches-page.ts'),
};

export function loadAnalysisPage({ page }: AnalysisRoute): Promise<unknown> {
  return MODULES[page]();
}

export function analysisPage(route: AnalysisRoute): unknown {
  switch (route.page) {
    case 'compare':
      return html`<lab-compare .route=${route}></lab-compare>`;
    case 'profile':
      return html`<lab-profile .route=${route}></lab-profile>`;
    case 'migration':
      return html`<lab-migration .route=${route}></lab-migration>`;
    case 'bisect':
      return html`<lab-bisect .route=${route}></lab-bisect>`;
    case 'diff':
      return html`<lab-diff .route=${route}></lab-diff>`;
    case 'branches':
      return html`<lab-branches .route=${route}></lab-branches>`;
    default:
      return route.page satisfies never;
  }
}
