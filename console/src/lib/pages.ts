// Every page of the console: its name in the address, where it stands, who may open it. A page's code is loaded when it is opened.
import type { Component } from 'svelte';

export interface Page {
  name: string;
  title: string;
  icon: string;
  group: 'Today' | 'Shop' | 'Learning' | 'Running';
  /** Parts of the API, one of which must be open to whoever opens the page. */
  needs: string[];
  load: () => Promise<{ default: Component }>;
  /** What it asks for first, by the part of the API that it belongs to: asked for while its code is loaded. */
  asks?: [part: string, url: string][];
}

export const PAGES: Page[] = [
  { name: '', title: 'Home', icon: 'home', group: 'Today', needs: ['operating'], load: () => import('../pages/Home.svelte'),
    asks: [['operating', '/v1/activity?minutes=60'], ['operating', '/health/ready'], ['experiments', '/v1/holdout'], ['catalogue', '/v1/assortment/coverage'], ['models', '/v1/models'], ['jobs', '/v1/jobs']] },
  { name: 'value', title: 'Value', icon: 'coins', group: 'Today', needs: ['figures'], load: () => import('../pages/Value.svelte') },
  { name: 'live', title: 'Live events', icon: 'pulse', group: 'Today', needs: ['events'], load: () => import('../pages/Live.svelte') },
  { name: 'catalogue', title: 'Catalogue', icon: 'box', group: 'Shop', needs: ['catalogue'], load: () => import('../pages/Catalogue.svelte') },
  { name: 'search', title: 'Search', icon: 'search', group: 'Shop', needs: ['search'], load: () => import('../pages/Search.svelte') },
  { name: 'recommendations', title: 'Recommendations', icon: 'spark', group: 'Shop', needs: ['recommendations'], load: () => import('../pages/Recommendations.svelte') },
  { name: 'customers', title: 'Customers', icon: 'person', group: 'Shop', needs: ['personal data', 'figures'], load: () => import('../pages/Customers.svelte') },
  { name: 'experiments', title: 'Experiments', icon: 'flask', group: 'Learning', needs: ['experiments'], load: () => import('../pages/Experiments.svelte') },
  { name: 'automations', title: 'Automations', icon: 'robot', group: 'Learning', needs: ['automations'], load: () => import('../pages/Automations.svelte') },
  { name: 'decisions', title: 'Decisions', icon: 'scale', group: 'Learning', needs: ['decisions'], load: () => import('../pages/Decisions.svelte') },
  { name: 'models', title: 'Models', icon: 'layers', group: 'Learning', needs: ['models'], load: () => import('../pages/Models.svelte') },
  { name: 'privacy', title: 'Privacy', icon: 'shield', group: 'Running', needs: ['privacy'], load: () => import('../pages/Privacy.svelte') },
  { name: 'health', title: 'Health', icon: 'heart', group: 'Running', needs: ['operating'], load: () => import('../pages/Health.svelte') },
  { name: 'settings', title: 'Settings', icon: 'key', group: 'Running', needs: ['catalogue', 'keys', 'users', 'webhooks', 'audit'], load: () => import('../pages/Settings.svelte') },
];

export const GROUPS = ['Today', 'Shop', 'Learning', 'Running'] as const;
