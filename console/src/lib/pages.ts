// Every page of the console: its name in the address, where it stands, who may open it. A page's code is loaded when it is opened.
import type { Component } from 'svelte';
import type { Schemas } from '../api/client';

export interface Page {
  name: string;
  title: string;
  icon: string;
  group: 'Today' | 'Shop' | 'Learning' | 'Running';
  needs: Schemas['Scope'];
  load: () => Promise<{ default: Component }>;
}

export const PAGES: Page[] = [
  { name: '', title: 'Home', icon: 'home', group: 'Today', needs: 'secret', load: () => import('../pages/Home.svelte') },
  { name: 'live', title: 'Live events', icon: 'pulse', group: 'Today', needs: 'secret', load: () => import('../pages/Live.svelte') },
  { name: 'catalogue', title: 'Catalogue', icon: 'box', group: 'Shop', needs: 'secret', load: () => import('../pages/Catalogue.svelte') },
  { name: 'search', title: 'Search', icon: 'search', group: 'Shop', needs: 'secret', load: () => import('../pages/Search.svelte') },
  { name: 'recommendations', title: 'Recommendations', icon: 'spark', group: 'Shop', needs: 'secret', load: () => import('../pages/Recommendations.svelte') },
  { name: 'experiments', title: 'Experiments', icon: 'flask', group: 'Learning', needs: 'secret', load: () => import('../pages/Experiments.svelte') },
  { name: 'decisions', title: 'Decisions', icon: 'scale', group: 'Learning', needs: 'secret', load: () => import('../pages/Decisions.svelte') },
  { name: 'models', title: 'Models', icon: 'layers', group: 'Learning', needs: 'admin', load: () => import('../pages/Models.svelte') },
  { name: 'privacy', title: 'Privacy', icon: 'shield', group: 'Running', needs: 'admin', load: () => import('../pages/Privacy.svelte') },
  { name: 'health', title: 'Health', icon: 'heart', group: 'Running', needs: 'secret', load: () => import('../pages/Health.svelte') },
  { name: 'settings', title: 'Settings', icon: 'key', group: 'Running', needs: 'admin', load: () => import('../pages/Settings.svelte') },
];

export const GROUPS = ['Today', 'Shop', 'Learning', 'Running'] as const;
