import fengari from 'fengari';

const { lua, lauxlib, lualib, to_luastring: bytes } = fengari;
type State = ReturnType<typeof lauxlib.luaL_newstate>;

/**
 * Runs a script as Argo CD does: with the global `obj` and Lua's base functions only.
 *
 * @returns those fields of the table that it returns, as text.
 * @throws Error with Lua's words.
 */
export function runLua<Field extends string>(script: string, obj: unknown, fields: readonly Field[]): Record<Field, string> {
  const state = lauxlib.luaL_newstate();
  lauxlib.luaL_requiref(state, bytes('_G'), lualib.luaopen_base, 1);
  push(state, obj);
  lua.lua_setglobal(state, bytes('obj'));
  if (lauxlib.luaL_loadstring(state, bytes(script)) !== lua.LUA_OK || lua.lua_pcall(state, 0, 1, 0) !== lua.LUA_OK)
    throw new Error(lua.lua_tojsstring(state, -1));
  const result: Partial<Record<Field, string>> = {};
  for (const field of fields) {
    lua.lua_getfield(state, -1, bytes(field));
    result[field] = lua.lua_tojsstring(state, -1);
    lua.lua_pop(state, 1);
  }
  return result as Record<Field, string>;
}

function push(state: State, value: unknown): void {
  if (typeof value === 'string') lua.lua_pushstring(state, bytes(value));
  else if (typeof value === 'number') lua.lua_pushnumber(state, value);
  else if (typeof value === 'boolean') lua.lua_pushboolean(state, value);
  else if (Array.isArray(value)) {
    lua.lua_createtable(state, value.length, 0);
    for (const [index, item] of value.entries()) {
      push(state, item);
      lua.lua_rawseti(state, -2, index + 1);
    }
  } else if (typeof value === 'object' && value !== null) {
    lua.lua_createtable(state, 0, 0);
    for (const [key, inner] of Object.entries(value)) {
      push(state, inner);
      lua.lua_setfield(state, -2, bytes(key));
    }
  } else lua.lua_pushnil(state);
}
