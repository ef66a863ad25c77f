// Addresses that come from a catalogue are not the shop's own words.

/** The address if it leads to the web or within the page's host; anything else (`javascript:`, `data:`) is none. */
export function webAddress(address: string): string | undefined {
  try {
    // Which host doesn't matter here: a relative address is as safe as the page.
    return /^https?:$/.test(new URL(address, 'https://page.invalid').protocol) ? address : undefined;
  } catch {
    return undefined;
  }
}
