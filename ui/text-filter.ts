/** `uart -idle 0x3f8`: every word must occur, none of those after a minus may. */
export function textFilter(text: string): (line: string) => boolean {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== '' && word !== '-');
  const wanted = words.filter((word) => !word.startsWith('-'));
  const unwanted = words.filter((word) => word.startsWith('-')).map((word) => word.slice(1));
  return (line) => wanted.every((word) => line.includes(word)) && !unwanted.some((word) => line.includes(word));
}
