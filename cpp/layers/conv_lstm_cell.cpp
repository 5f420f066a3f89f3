#include "layers/conv_lstm_cell.hpp"

#include "layers/conv_lstm_direct.hpp"
#include "layers/conv_lstm_winograd.hpp"
#include "layers/cost.hpp"

namespace cn {
namespace {

ConvAxis axis(std::size_t length, std::size_t kernel, std::size_t stride, std::size_t dilation,
              bool same) {
  const Window w = window(length, (kernel - 1) * dilation + 1, stride, same);
  return {length, kernel, stride, dilation, w.output, w.before};
}

enum class Cell { not_wanted, does_not_fit, dearer, cheaper };

// How Winograd's cell stands against the direct one.
Cell winograd(const ConvLstm2dOptions& o, const KernelTable& kernels) {
  if (!o.allow_winograd) return Cell::not_wanted;
  if (!o.planar() || !WinogradCell::fits(o, kernels)) return Cell::does_not_fit;
  const bool cheaper = WinogradCell::cost(o, kernels) < DirectCell::cost(o);
  return cheaper ? Cell::cheaper : Cell::dearer;
}

}  // namespace

ConvAxis depth_axis(const ConvLstm2dOptions& o) {
  return axis(o.depth.length, o.depth.kernel, o.depth.stride, o.depth.dilation, o.same);
}

ConvAxis row_axis(const ConvLstm2dOptions& o) {
  return axis(o.input[1], o.kernel_size.rows, o.strides.rows, o.dilation_rate.rows, o.same);
}

ConvAxis col_axis(const ConvLstm2dOptions& o) {
  return axis(o.input[2], o.kernel_size.cols, o.strides.cols, o.dilation_rate.cols, o.same);
}

void RowProgress::finished(std::size_t task) {
  const Layout& l = layout_;
  if (task != next_task_) {
    first_block_ = (task + l.tasks - 1) / l.tasks;
    end_ = 0;
  }
  next_task_ = task + 1;
  if ((task + 1) % l.tasks != 0 || task / l.tasks < first_block_) return;
  const std::size_t end_place = (task / l.tasks + 1) * l.block;
  if (end_place < l.row_places) return;
  const std::size_t begin = (first_block_ * l.block + l.pitch - 1) / l.pitch * l.rows_at_once;
  std::size_t end = ((end_place - l.row_places) / l.pitch + 1) * l.rows_at_once;
  if (end > l.rows) end = l.rows;
  if (end <= begin || end <= end_) return;
  end_ = end;
  sink_.rows(part_, begin, end);
}

std::unique_ptr<ConvLstmCell> make_cell(const ConvLstm2dOptions& options,
                                        const KernelTable& kernels,
                                        const ConvLstmWeights& weights) {
  if (winograd(options, kernels) == Cell::cheaper) {
    return std::make_unique<WinogradCell>(options, kernels, weights);
  }
  return std::make_unique<DirectCell>(options, weights);
}

std::string explain_cell(const ConvLstm2dOptions& o, const KernelTable& kernels) {
  const std::string direct = millions(DirectCell::cost(o));
  const std::string name = WinogradCell::name_for(o);
  const auto winograd_cost = [&] { return millions(WinogradCell::cost(o, kernels)); };
  switch (winograd(o, kernels)) {
    case Cell::not_wanted:
      return "direct: " + direct + ", nothing else was allowed";
    case Cell::does_not_fit:
      return "direct: " + direct +
             ", winograd is for 3x3 and 5x5 kernels on planes with stride and dilation 1";
    case Cell::dearer:
      return "direct: " + direct + " against " + name + ": " + winograd_cost();
    case Cell::cheaper:
      return name + ": " + winograd_cost() + " against direct: " + direct;
  }
  return "";
}

}  // namespace cn
