/** Makes an element look again when its model changed, at most once a frame. */
import type { ReactiveController, ReactiveControllerHost } from 'lit';
import type { Subscription } from 'rxjs';
import type { RunModel } from './run-model.ts';

export class ModelController implements ReactiveController {
  private readonly host: ReactiveControllerHost & { readonly model: RunModel | undefined };
  private subscription: Subscription | undefined;
  private watched: RunModel | undefined;
  private frame = 0;

  constructor(host: ReactiveControllerHost & { readonly model: RunModel | undefined }) {
    this.host = host;
    host.addController(this);
  }

  hostUpdate(): void {
    if (this.host.model === this.watched) return;
    this.subscription?.unsubscribe();
    this.watched = this.host.model;
    this.subscription = this.watched?.changes.subscribe(() => {
      if (this.frame !== 0) return;
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.host.requestUpdate();
      });
    });
  }

  hostDisconnected(): void {
    this.subscription?.unsubscribe();
    this.watched = undefined;
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  hostConnected(): void {
    this.host.requestUpdate();
  }
}
