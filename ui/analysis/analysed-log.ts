/** A log that the worker analyses, with those that it goes on from, and its images. */
import type { LogReader } from '../../engine/log/reader.ts';
import type { LogPlace } from '../../engine/protocol/messages.ts';
import { type LogSummary, summarize } from '../../engine/protocol/summary.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import { type OpenedPlace, openLogPlace } from '../log-place.ts';
import { RecordingImages } from '../recording-images.ts';

export class AnalysedLog {
  readonly summary: LogSummary;
  readonly reader: LogReader;
  readonly imageUrl: string | undefined;
  private readonly place: OpenedPlace;
  private readonly images: RecordingImages;

  private constructor(place: OpenedPlace, imageUrl: string | undefined) {
    this.place = place;
    this.imageUrl = imageUrl;
    this.reader = place.newReader();
    this.summary = summarize(this.reader, place.bytes);
    this.images = new RecordingImages(this.summary, this.reader, imageUrl);
  }

  /** Throws LogError, SourceError, Refusal. */
  static async open(log: LogPlace, imageUrl: string | undefined): Promise<AnalysedLog> {
    return new AnalysedLog(await openLogPlace(log), imageUrl);
  }

  newReader(): LogReader {
    return this.place.newReader();
  }

  /** Throws Refusal for a file that is not one of the images. */
  give(bytes: Uint8Array): string {
    return this.images.give(bytes);
  }

  /** Throws Refusal. */
  runImages(): Promise<RunImages> {
    return this.images.load();
  }
}
