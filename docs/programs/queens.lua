local N, found = tonumber(arg[1]), 0
local function fits(a, row, col)
  for i = 1, row - 1 do if a[i] == col or a[i] - i == col - row or a[i] + i == col + row then return false end end
  return true
end
local function add(a, row)
  if row > N then found = found + 1 return end
  for col = 1, N do if fits(a, row, col) then a[row] = col; add(a, row + 1) end end
end
add({}, 1)
print(found)
