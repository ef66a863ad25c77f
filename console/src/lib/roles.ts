// What people of the console do; what each may is a table of the server.
export const ROLES = {
  owner: 'everything, with keys and users',
  merchandiser: 'catalogue, search, recommendations, experiments, automations',
  analyst: 'reads what is measured, nothing of single people',
  support: 'people, their orders, decisions and requests',
  auditor: 'reads who did what: audit log, policy, requests, keys',
} as const;
export type Role = keyof typeof ROLES;
export const NAMES = Object.keys(ROLES) as Role[];
