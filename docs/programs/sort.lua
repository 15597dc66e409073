local t, x = {}, 42
for i = 1, tonumber(arg[1]) do x = (x * 1103515245 + 12345) % 2147483648; t[i] = { key = x, name = "n" .. x % 1000 } end
table.sort(t, function(a, b) return a.key < b.key end)
local s = {}
for i = 1, #t, 100 do s[#s + 1] = t[i].name:upper() end
print(#table.concat(s))
