// osls loads values from .js files only; the values themselves are typed.
export * from './deployment-values.ts';
