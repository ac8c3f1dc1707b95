/** The part of fengari that test/support/lua.ts uses: the C API of Lua, with strings as bytes. */
declare module 'fengari' {
  /** A Lua state. */
  interface State {
    readonly __state: unique symbol;
  }
  const fengari: {
    readonly to_luastring: (text: string) => Uint8Array;
    readonly lua: {
      readonly LUA_OK: number;
      readonly lua_pushnil: (state: State) => void;
      readonly lua_pushboolean: (state: State, value: boolean) => void;
      readonly lua_pushnumber: (state: State, value: number) => void;
      readonly lua_pushstring: (state: State, value: Uint8Array) => void;
      readonly lua_createtable: (state: State, items: number, fields: number) => void;
      readonly lua_setfield: (state: State, index: number, key: Uint8Array) => void;
      readonly lua_getfield: (state: State, index: number, key: Uint8Array) => number;
      readonly lua_rawseti: (state: State, index: number, position: number) => void;
      readonly lua_setglobal: (state: State, name: Uint8Array) => void;
      readonly lua_pcall: (state: State, inputs: number, outputs: number, handler: number) => number;
      readonly lua_tojsstring: (state: State, index: number) => string;
      readonly lua_pop: (state: State, count: number) => void;
    };
    readonly lauxlib: {
      readonly luaL_newstate: () => State;
      readonly luaL_requiref: (state: State, name: Uint8Array, open: unknown, global: number) => void;
      readonly luaL_loadstring: (state: State, text: Uint8Array) => number;
    };
    readonly lualib: { readonly luaopen_base: unknown };
  };
  export default fengari;
}
