local n, w = {}, 0
for line in io.lines(arg[1]) do
  for word in line:gmatch("%w+") do n[word] = (n[word] or 0) + 1; w = w + 1 end
end
local k = 0
for word, c in pairs(n) do if c > 1 and word:find("^u") then k = k + 1 end end
print(w, k)
