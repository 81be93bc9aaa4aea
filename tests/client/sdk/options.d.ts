/** What the modules of a client run with: the argument of `createClient`. */
declare const options: import('../../../sdk/hongyan').Options
