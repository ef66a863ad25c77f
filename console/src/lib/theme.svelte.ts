// Dark or light: as the system has it, until somebody says otherwise.
const KEY = 'merx-theme';
type Theme = 'light' | 'dark';

const system = matchMedia('(prefers-color-scheme: dark)');
const stored = (): Theme | null => {
  const value = localStorage.getItem(KEY);
  return value === 'light' || value === 'dark' ? value : null;
};
const current = (): Theme => stored() ?? (system.matches ? 'dark' : 'light');

let theme = $state<Theme>('light');

export const shownTheme = (): Theme => theme;

export function showTheme(): void {
  theme = current();
  document.documentElement.dataset.theme = theme;
}

export function turnTheme(): void {
  localStorage.setItem(KEY, theme === 'dark' ? 'light' : 'dark');
  showTheme();
}

system.addEventListener('change', showTheme);
